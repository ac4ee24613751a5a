-- Manual override. ARGV: config, command (force_open, force_closed, reset, carry), how long in ms (0: no end), by, reason.
local cfg, now = cjson.decode(ARGV[1]), redis_now_ms()
local s, raw, odd = state_from(redis.call('HGETALL', KEYS[1]), cfg, now)
local change = command(cfg, s, now, ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5])
save(s, raw, now, cfg.ttl_ms)
remember(change, cfg.ttl_ms)
return reply(cfg, s, now, odd, true, '', change)
