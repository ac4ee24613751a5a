-- Note how a member did and return all that is known. KEYS[1]: the group's hash.
-- ARGV: member or '' (only read), ok (1, 0), expiry in ms, whether the member has a health check (1, 0).
-- Returns Redis' time, fields and values, and the fields that made no sense.
local now = redis_now_ms()
local odd = make_sense(KEYS[1], now)
if ARGV[1] ~= '' then
  local failures, healthy = 'failures:' .. ARGV[1], 'healthy_since:' .. ARGV[1]
  if ARGV[2] == '1' then
    redis.call('HSET', KEYS[1], failures, 0)
    redis.call('HSETNX', KEYS[1], healthy, integer(now))
  else
    redis.call('HINCRBY', KEYS[1], failures, 1)
    -- A member that nobody checks cannot prove itself: it counts as well from its last failure on.
    if ARGV[4] == '1' then
      redis.call('HDEL', KEYS[1], healthy)
    else
      redis.call('HSET', KEYS[1], healthy, integer(now))
    end
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return { now, redis.call('HGETALL', KEYS[1]), odd }
