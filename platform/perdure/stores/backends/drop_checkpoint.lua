-- Removes one version of a checkpoint if it still holds the damaged frame that the reader saw.
--
-- KEYS[1]  the job's hash
-- ARGV[1]  the field, "<name>/<version>"
-- ARGV[2]  the damaged frame
--
-- Returns 1 when it was removed, 0 when it was mended or removed meanwhile.

if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
return redis.call("HDEL", KEYS[1], ARGV[1])
