-- Reads the machine's state from its hash and makes sense of it, whatever somebody wrote there. Its twin is
-- breaker_sense.py, where every rule is explained; a test runs both on the same hashes.
local STATES = { closed = true, open = true, half_open = true }
local OVERRIDES = { [''] = true, open = true, closed = true }
local LONGEST_NUMBER, MOST_OPENINGS = 15, 1000

local function sensible_window(cfg, window)
  if not string.find(window, '[^sSfF]') then return cfg.window == 'count' and window or '', true end
  local kept = {}
  for i, c, f, w in string.gmatch(window, '(%d+):(%d+):(%d+):(%d+)') do
    if math.max(#i, #c, #f, #w) <= LONGEST_NUMBER then kept[#kept + 1] = table.concat({ i, c, f, w }, ':') end
  end
  local found = table.concat(kept, ',')
  return cfg.window == 'time' and found or '', found == window
end

local function sensible_permits(permits, latest)
  local kept = {}
  for token, expiry in string.gmatch(permits, '([^:,]+):(%d+)') do
    if #expiry <= LONGEST_NUMBER and tonumber(expiry) <= latest then kept[#kept + 1] = token .. ':' .. expiry end
  end
  local found = table.concat(kept, ',')
  return found, found == permits
end

local function sensible_until(cfg, s, now)
  if s.state ~= 'open' then return s.until_ms end
  if s.override == 'open' then
    local ends = s.override_until_ms
    if ends == 0 then return s.until_ms > now and -1 or s.until_ms end
    return (s.until_ms < 0 or s.until_ms > ends) and ends or s.until_ms
  end
  local longest = math.max(s.recovery_ms, cfg.max_recovery_ms)
  return (s.until_ms < 0 or s.until_ms > now + longest) and now or s.until_ms
end

-- Changes `s`; returns the names of the fields that made no sense.
local function make_sense(cfg, s, now)
  local odd, fine = {}, true
  local function put(field, value)
    if s[field] ~= value then s[field], odd[#odd + 1] = value, field end
  end
  if not STATES[s.state] then put('state', 'closed') end
  if not OVERRIDES[s.override] then put('override', '') end
  s.window, fine = sensible_window(cfg, s.window)
  if not fine then odd[#odd + 1] = 'window' end
  local longest = math.max(cfg.max_recovery_ms, DAY_MS)
  if s.recovery_ms > longest then put('recovery_ms', cfg.recovery_ms) end
  s.permits, fine = sensible_permits(s.permits, now + math.max(longest, cfg.permit_lease_ms))
  if not fine then odd[#odd + 1] = 'permits' end
  put('until_ms', sensible_until(cfg, s, now))
  for _, field in ipairs({ 'last_failure_ms', 'closed_at_ms', 'changed_at_ms' }) do s[field] = math.min(s[field], now) end
  s.openings = math.min(s.openings, MOST_OPENINGS)
  s.passed = math.min(s.passed, cfg.half_open_permits - 1)
  return odd
end

-- Returns the state, the hash as it is, and the names of the fields that made no sense.
local function state_from(flat, cfg, now)
  local raw, s, odd = {}, {}, {}
  for i = 1, #flat, 2 do raw[flat[i]] = flat[i + 1] end
  for field, default in pairs(TEXT) do s[field] = raw[field] or default end
  for _, field in ipairs(NUMBERS) do
    s[field] = whole(raw[field] or '0', field == 'until_ms' and -1 or 0)
    if not s[field] then s[field], odd[#odd + 1] = 0, field end
  end
  for _, field in ipairs(make_sense(cfg, s, now)) do odd[#odd + 1] = field end
  table.sort(odd)
  if #odd > 0 then s.repaired = table.concat(odd, ', ') end
  return s, raw, odd
end
