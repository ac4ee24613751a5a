-- Give back trial permits that will have no verdict. ARGV: config, a permit's token or the holder of permits.
local cfg, now = cjson.decode(ARGV[1]), redis_now_ms()
local s, raw, odd = state_from(redis.call('HGETALL', KEYS[1]), cfg, now)
free(s, ARGV[2])
save(s, raw, now, cfg.ttl_ms)
return reply(cfg, s, now, odd, true, '', nil)
