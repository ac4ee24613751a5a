-- May a call go ahead? ARGV: config, token for a permit, generation of the pending outcomes, pending outcomes, calls
-- that the process has rejected by itself meanwhile.
-- A closed breaker with nothing to report is one HMGET; a rejection adds one HINCRBY.
if ARGV[5] ~= '0' and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'rejected', ARGV[5])
end
if ARGV[4] == '' then
  local quick = redis.call('HMGET', KEYS[1], 'state', 'generation', 'streak', 'until_ms', 'recovery_ms')
  local state, generation, streak = quick[1] or 'closed', tonumber(quick[2] or '0'), tonumber(quick[3] or '0')
  -- A short reply: clients parse each element at a cost.
  if state == 'closed' then return { generation, streak } end
  local now = redis_now_ms()
  local left = tonumber(quick[4] or '0') - now
  if state == 'open' and left > 0 then
    redis.call('HINCRBY', KEYS[1], 'rejected', 1)
    return { 0, state, generation, '', left, streak, now, now + left, tonumber(quick[5] or '0') }
  end
end
local cfg, now = cjson.decode(ARGV[1]), redis_now_ms()
local s, raw = state_from(redis.call('HGETALL', KEYS[1]))
local first = record(cfg, s, now, tonumber(ARGV[3]), '', ARGV[4])
local admitted, token, second = enter(cfg, s, now, ARGV[2])
save(s, raw, now, cfg.ttl_ms)
remember(first, cfg.ttl_ms)
remember(second, cfg.ttl_ms)
return reply(cfg, s, now, admitted, token, second or first)
