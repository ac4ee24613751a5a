-- Give a node another state, if neither that nor its last beat has changed meanwhile: so of many watchers one tells of it.
-- KEYS[1]: beats, KEYS[2]: states. ARGV: node, state before ('' for none), its last beat, new state, expiry in ms.
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
