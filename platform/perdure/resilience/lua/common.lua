-- Shared by every script. Time is Redis' own, so that hosts whose clocks differ agree on every deadline.
local function redis_now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- tostring() would write 1.7e+12 for a time in milliseconds.
local function integer(n)
  return string.format('%.0f', n)
end
