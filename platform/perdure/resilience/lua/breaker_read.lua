-- The state as it is, changing nothing: Redis' time, then the hash's fields and values.
return { redis_now_ms(), redis.call('HGETALL', KEYS[1]) }
