-- Prolong leases. KEYS[1]: permits. ARGV: lease in ms, tokens. Returns the tokens whose lease was over already.
local now, lease, lost = redis_now_ms(), tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local expiry = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if expiry and tonumber(expiry) > now then
    redis.call('ZADD', KEYS[1], integer(now + lease), ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
redis.call('PEXPIRE', KEYS[1], integer(math.max(lease, redis.call('PTTL', KEYS[1]))))
return lost
