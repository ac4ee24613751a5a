-- Saves one version of a checkpoint unless a newer one is there.
--
-- KEYS[1]  the job's hash. Fields: "<name>/<version>" -> frame, for the last versions of each name.
-- ARGV[1]  the checkpoint's name
-- ARGV[2]  the version: fence and seq as 19 digits each, "-" between (texts of one length compare like the numbers;
--          Lua's own numbers are exact to 2^53 only)
-- ARGV[3]  the frame
-- ARGV[4]  versions to keep
-- ARGV[5]  seconds until the job's checkpoints expire, 0 for never
-- ARGV[6]  "1": write over the same version (its copy was found damaged)
--
-- Returns "" when it is saved, or the stored version that is newer or equal.

local prefix = ARGV[1] .. "/"
local held = {}
for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
  if string.sub(field, 1, #prefix) == prefix then
    local version = string.sub(field, #prefix + 1)
    if #version == 39 and string.find(version, "^%d+-%d+$") and string.sub(version, 20, 20) == "-" then
      table.insert(held, version)
    else
      redis.call("HDEL", KEYS[1], field) -- no save of ours has such a field, and it would seem to be newer than any
    end
  end
end
table.sort(held, function(a, b) return a > b end)

local newest = held[1]
if newest and (newest > ARGV[2] or (newest == ARGV[2] and ARGV[6] ~= "1")) then
  return newest
end

redis.call("HSET", KEYS[1], prefix .. ARGV[2], ARGV[3])
if newest ~= ARGV[2] then
  for index = tonumber(ARGV[4]), #held do
    redis.call("HDEL", KEYS[1], prefix .. held[index])
  end
end
if ARGV[5] ~= "0" then
  redis.call("EXPIRE", KEYS[1], ARGV[5])
end
return ""
