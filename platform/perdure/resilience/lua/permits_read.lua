-- How many permits are held and how many wait. KEYS as in permits_acquire.
local now = integer(redis_now_ms())
return { redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf'), redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') }
