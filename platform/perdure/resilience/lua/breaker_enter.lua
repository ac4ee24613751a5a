-- May a call go ahead? ARGV: config, token for a permit, generation of the pending outcomes, pending outcomes, calls
-- that the process has rejected by itself meanwhile.
-- A closed breaker with nothing to report is one HMGET; a rejection adds one HINCRBY.
if ARGV[5] ~= '0' and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.pcall('HINCRBY', KEYS[1], 'rejected', ARGV[5])  -- what is there may be no number
end
if ARGV[4] == '' then
  local quick = redis.call('HMGET', KEYS[1], 'state', 'generation', 'streak', 'until_ms', 'recovery_ms')
  local state, generation, streak = quick[1] or 'closed', whole(quick[2] or '0', 0), whole(quick[3] or '0', 0)
  -- A short reply: clients parse each element at a cost.
  if state == 'closed' and generation and streak then return { generation, streak } end
  local ends, recovery = whole(quick[4], 0), whole(quick[5], 0)
  -- What makes no sense, and what somebody has forced open, is looked at in full.
  if state == 'open' and generation and streak and ends and recovery and recovery <= DAY_MS then
    local now = redis_now_ms()
    local left = ends - now
    if left > 0 and left <= recovery and type(redis.pcall('HINCRBY', KEYS[1], 'rejected', 1)) == 'number' then
      return { 0, state, generation, '', left, streak, now, ends, recovery, '' }
    end
  end
end
local cfg, now = cjson.decode(ARGV[1]), redis_now_ms()
local s, raw, odd = state_from(redis.call('HGETALL', KEYS[1]), cfg, now)
local first = record(cfg, s, now, tonumber(ARGV[3]), '', ARGV[4])
local admitted, token, second = enter(cfg, s, now, ARGV[2])
save(s, raw, now, cfg.ttl_ms)
remember(first, cfg.ttl_ms)
remember(second, cfg.ttl_ms)
return reply(cfg, s, now, odd, admitted, token, second or first)
