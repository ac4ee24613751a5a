-- Take from a token bucket. KEYS[1]: hash of tokens and the time in ms when that many were there.
-- ARGV: tokens per second, bucket size, tokens wanted, expiry in ms. Returns {granted, wait in ms, tokens as text}.
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = redis_now_ms()
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1] or ARGV[2]), tonumber(bucket[2] or now)
-- Never back in time: after a failover the new server's clock may be behind.
tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000)
local wait = 0
if tokens >= wanted then
  tokens = tokens - wanted
else
  wait = math.max(1, math.ceil((wanted - tokens) * 1000 / rate))
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', integer(math.max(now, at)))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { wait == 0 and 1 or 0, wait, string.format('%.6f', tokens) }
