-- Makes sense of a group's hash, whatever somebody wrote there. Fields: current, epoch, since_ms, failures:<member>,
-- healthy_since:<member>. Returns the fields that made none, and have been removed.
local MOST_FAILURES = 1000000

local function make_sense(key, now)
  local flat, odd = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local number = whole(value, 0)
    local is_time = field == 'since_ms' or string.sub(field, 1, 14) == 'healthy_since:'
    local is_count = string.sub(field, 1, 9) == 'failures:'
    if field == 'epoch' and not number then
      -- It must never go back: whoever was fenced off by the old one stays so.
      redis.call('HSET', key, field, integer(now))
      odd[#odd + 1] = field
    elseif (is_time and not number) or (is_count and not (number and number <= MOST_FAILURES)) then
      redis.call('HDEL', key, field)
      odd[#odd + 1] = field
    elseif is_time and number > now then
      redis.call('HSET', key, field, integer(now))  -- after a failover the new server's clock may be behind
    end
  end
  return odd
end
