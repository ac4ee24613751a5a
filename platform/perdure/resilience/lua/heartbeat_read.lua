-- Returns the time in ms, beats and states. KEYS[1]: beats, KEYS[2]: states. What is no time is no beat: the node beats again.
local now, flat = redis_now_ms(), redis.call('HGETALL', KEYS[1])
local beats = {}
for i = 1, #flat, 2 do
  local at = whole(flat[i + 1], 0)
  if at then
    beats[#beats + 1] = flat[i]
    beats[#beats + 1] = integer(math.min(at, now))
  end
end
return {integer(now), beats, redis.call('HGETALL', KEYS[2])}
