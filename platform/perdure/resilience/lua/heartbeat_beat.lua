-- A node lives. KEYS[1]: beats, ms by node. ARGV: the node, expiry in ms.
redis.call('HSET', KEYS[1], ARGV[1], integer(redis_now_ms()))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
