-- Draw on a retry budget. KEYS[1]: tokens. ARGV: capacity, cost, credit to add first, expiry in ms.
-- Returns {1 allowed / 0 not, tokens left, 1 when what was there made no sense}.
local capacity, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('GET', KEYS[1]) or ARGV[1]
local tokens = whole(kept, 0)
local odd = tokens and 0 or 1
tokens = tokens or capacity
tokens = math.min(capacity, tokens + tonumber(ARGV[3]))
local allowed = tokens >= cost
if allowed then tokens = tokens - cost end
redis.call('SET', KEYS[1], integer(tokens), 'PX', ARGV[4])
return { allowed and 1 or 0, tokens, odd }
