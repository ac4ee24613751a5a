-- Shared by every script. Time is Redis' own, so that hosts whose clocks differ agree on every deadline.
local function redis_now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- tostring() would write 1.7e+12 for a time in milliseconds.
local function integer(n)
  return string.format('%.0f', n)
end

-- Returns the whole number that a text is, or nil for all else: no value, "q", "nan", "1e3", "007", less than `least`,
-- more than any counter reaches and, as a time in milliseconds, behind the year 9892.
local function whole(text, least)
  local n = tonumber(text)
  if n and n >= least and n <= 25e13 and integer(n) == text and (n ~= 0 or text == '0') then return n end
  return nil
end

local DAY_MS = 86400000
