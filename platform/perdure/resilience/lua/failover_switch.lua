-- Make a member the current one if nobody switched meanwhile. KEYS[1]: the group's hash, KEYS[2]: records.
-- ARGV: epoch that the decision was based on, new current, record as JSON, records kept, expiry in ms.
local now = redis_now_ms()
if (redis.call('HGET', KEYS[1], 'epoch') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'current', ARGV[2], 'epoch', integer(tonumber(ARGV[1]) + 1), 'since_ms', integer(now),
  'failures:' .. ARGV[2], 0)
redis.call('LPUSH', KEYS[2], ARGV[3])
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[4]) - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
