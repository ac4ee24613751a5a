-- Rings bells: puts messages into a queue, up to a bound. A queue that holds more than that was flooded, and is cut.
-- KEYS: the queue. ARGV: the most messages that it may hold, then the messages.
-- A key of another type was put there by somebody else, and would leave workers deaf: it is deleted.
-- Returns how many were put in.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'list' and kind ~= 'none' then
    redis.call('DEL', KEYS[1])
end
local most = tonumber(ARGV[1])
local held = redis.call('LLEN', KEYS[1])
if held > most then
    redis.call('LTRIM', KEYS[1], -most, -1)
    return 0
end
local rung = 0
while rung < #ARGV - 1 and held + rung < most do
    redis.call('LPUSH', KEYS[1], ARGV[rung + 2])
    rung = rung + 1
end
return rung
