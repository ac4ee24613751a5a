-- May a call go ahead? ARGV: config, token for a permit, generation of the pending outcomes, pending outcomes.
-- A closed breaker with nothing to report is one HMGET.
if ARGV[4] == '' then
  local quick = redis.call('HMGET', KEYS[1], 'state', 'generation', 'streak')
  if (quick[1] or 'closed') == 'closed' then
    return { 1, 'closed', tonumber(quick[2] or '0'), '', 0, tonumber(quick[3] or '0'), redis_now_ms(), 0, 0 }
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
