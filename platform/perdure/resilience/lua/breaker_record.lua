-- Report outcomes. ARGV: config, permit's token or '', generation at the time of the call, outcomes (s S f F each).
local cfg, now = cjson.decode(ARGV[1]), redis_now_ms()
local s, raw, odd = state_from(redis.call('HGETALL', KEYS[1]), cfg, now)
local change = record(cfg, s, now, tonumber(ARGV[3]), ARGV[2], ARGV[4])
save(s, raw, now, cfg.ttl_ms)
remember(change, cfg.ttl_ms)
return reply(cfg, s, now, odd, true, '', change)
