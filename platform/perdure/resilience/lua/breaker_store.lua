-- Reading and writing the machine's state. KEYS[1]: the state's hash, KEYS[2]: the history list.
-- ARGV[1]: configuration as JSON.
local HISTORY_LENGTH = 50

local function save(s, raw, now, ttl_ms)
  local changed = {}
  for field, default in pairs(TEXT) do
    if s[field] ~= (raw[field] or default) then
      changed[#changed + 1] = field
      changed[#changed + 1] = s[field]
    end
  end
  for _, field in ipairs(NUMBERS) do
    local value = integer(s[field])
    if value ~= (raw[field] or '0') then
      changed[#changed + 1] = field
      changed[#changed + 1] = value
    end
  end
  if #changed > 0 then
    redis.call('HSET', KEYS[1], unpack(changed))
    redis.call('PEXPIRE', KEYS[1], integer(math.max(ttl_ms, s.until_ms - now + ttl_ms)))
  end
end

local function remember(change, ttl_ms)
  if not change then return end
  redis.call('LPUSH', KEYS[2], cjson.encode({
    at_ms = change.at, from_state = change.from, to_state = change.to, reason = change.reason, by = change.by,
  }))
  redis.call('LTRIM', KEYS[2], 0, HISTORY_LENGTH - 1)
  redis.call('PEXPIRE', KEYS[2], integer(ttl_ms))
end

local function reply(cfg, s, now, odd, admitted, token, change)
  local answer = {
    admitted and 1 or 0, s.state, s.generation, token, retry_after_ms(cfg, s, now), s.streak, now,
    s.until_ms, s.recovery_ms, table.concat(odd, ', '),
  }
  if change then
    answer[11], answer[12], answer[13], answer[14] = change.from, change.to, change.reason, change.by
  end
  return answer
end
