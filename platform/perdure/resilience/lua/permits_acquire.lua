-- Take a permit. KEYS[1]: permits (token -> expiry in ms), KEYS[2]: who waits (waiter -> expiry in ms).
-- ARGV: token, limit, lease in ms, waiter or '', how many may wait (-1: any number), waiter's expiry in ms from now.
-- Returns {1 granted / 0 full / -1 too many wait, ms until a permit may become free by expiry, held, waiting, permits that
-- were removed because nobody prolongs a lease for so long}.
local now = redis_now_ms()
local limit, lease = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', integer(now))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', integer(now))
local latest = '(' .. integer(now + math.max(DAY_MS, lease))
local odd = redis.call('ZREMRANGEBYSCORE', KEYS[1], latest, '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[2], latest, '+inf')
local held = redis.call('ZCARD', KEYS[1])
-- A client that lost the reply asks again with the same token.
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then held = held - 1 end
if held < limit then
  redis.call('ZADD', KEYS[1], integer(now + lease), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], integer(math.max(lease, redis.call('PTTL', KEYS[1]))))
  if ARGV[4] ~= '' then redis.call('ZREM', KEYS[2], ARGV[4]) end
  return { 1, 0, held + 1, redis.call('ZCARD', KEYS[2]), odd }
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = first[2] and tonumber(first[2]) - now or lease
local waiting = redis.call('ZCARD', KEYS[2])
if ARGV[4] ~= '' then
  if not redis.call('ZSCORE', KEYS[2], ARGV[4]) then
    if tonumber(ARGV[5]) >= 0 and waiting >= tonumber(ARGV[5]) then return { -1, wait, held, waiting, odd } end
    waiting = waiting + 1
  end
  redis.call('ZADD', KEYS[2], integer(now + tonumber(ARGV[6])), ARGV[4])
  redis.call('PEXPIRE', KEYS[2], integer(tonumber(ARGV[6]) * 2))
end
return { 0, wait, held, waiting, odd }
