-- Keeps a fault for others. KEYS[1]: faults by id. ARGV: id, fault, ms after which the last one is over.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
