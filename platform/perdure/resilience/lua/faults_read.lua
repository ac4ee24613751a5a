-- Returns the time in ms and all injected faults. KEYS[1]: faults by id.
return {integer(redis_now_ms()), redis.call('HGETALL', KEYS[1])}
