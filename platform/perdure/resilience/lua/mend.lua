-- Remove keys that hold another type than they are made for: nothing of it can be used.
-- KEYS: keys. ARGV: the type of each. Returns the removed keys, each followed by the type that it had.
local removed = {}
for i, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= ARGV[i] then
    redis.call('DEL', key)
    removed[#removed + 1] = key
    removed[#removed + 1] = found
  end
end
return removed
