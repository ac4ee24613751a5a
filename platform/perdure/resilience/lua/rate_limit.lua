-- Take from a token bucket. KEYS[1]: hash of tokens and the time in ms when that many were there.
-- ARGV: tokens per second, bucket size, tokens wanted at least and at most, expiry in ms.
-- Returns {tokens granted as text, wait in ms, tokens left as text, 1 when what was there made no sense}.
local rate, burst, wanted, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = redis_now_ms()
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1] or ARGV[2]), whole(bucket[2] or integer(now), 0)
local odd = 0
-- Neither "q" nor "nan" nor a debt that would take for ever; nor a time by which the bucket would be full again.
if not (tokens and tokens >= 0 and at and at <= now + tonumber(ARGV[5])) then tokens, at, odd = burst, now, 1 end
-- Never back in time: after a failover the new server's clock may be behind.
tokens = math.min(burst, tokens + math.max(0, now - at) * rate / 1000)
local wait, granted = 0, 0
if tokens >= wanted then
  granted = math.max(wanted, math.min(most, math.floor(tokens)))
  tokens = tokens - granted
else
  wait = math.max(1, math.ceil((wanted - tokens) * 1000 / rate))
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', integer(math.max(now, at)))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return { string.format('%.6f', granted), wait, string.format('%.6f', tokens), odd }
