-- The circuit breaker's state machine. Its twin is breaker_machine.py, where every rule is explained; a test runs both
-- on the same events and compares states and decisions. Functions change the table `s` and take the time as a number.
local BUCKETS = 10
local TEXT = {
  state = 'closed', window = '', reason = '', permits = '',
  override = '', override_by = '', override_reason = '', repaired = '',
}
local NUMBERS = {
  'generation', 'streak', 'last_failure_ms', 'openings', 'until_ms', 'recovery_ms', 'closed_at_ms', 'changed_at_ms',
  'passed', 'override_until_ms', 'successes', 'failures', 'slow', 'rejected', 'opened', 'late',
}

local function shift(s, to, now, reason, by)
  local change = { from = s.state, to = to, at = now, reason = reason, by = by }
  s.state, s.generation, s.changed_at_ms, s.reason = to, s.generation + 1, now, reason
  s.permits, s.passed = '', 0
  if to == 'closed' then
    s.window, s.streak, s.closed_at_ms, s.until_ms = '', 0, now, 0
  elseif to == 'open' then
    s.opened = s.opened + 1
  end
  return change
end

local function expire_override(s, now)
  if s.override ~= '' and s.override_until_ms > 0 and now >= s.override_until_ms then
    s.override, s.override_until_ms, s.override_by, s.override_reason = '', 0, '', ''
  end
end

local function grown_recovery_ms(cfg, openings)
  local ms = cfg.recovery_ms
  for _ = 2, openings do
    if ms == cfg.max_recovery_ms then break end
    ms = math.min(math.floor(ms * cfg.growth), cfg.max_recovery_ms)
  end
  return ms
end

local function open(cfg, s, now, reason)
  if s.state == 'closed' and (s.closed_at_ms == 0 or now - s.closed_at_ms >= s.recovery_ms) then s.openings = 0 end
  s.openings = s.openings + 1
  s.recovery_ms = grown_recovery_ms(cfg, s.openings)
  s.until_ms = now + s.recovery_ms
  return shift(s, 'open', now, reason, '')
end

local function live_permits(s, now)
  local kept, count, first = {}, 0, 0
  for token, expiry in string.gmatch(s.permits, '([^:,]+):(%d+)') do
    expiry = tonumber(expiry)
    if expiry > now then
      kept[#kept + 1] = token .. ':' .. integer(expiry)
      count = count + 1
      if first == 0 or expiry < first then first = expiry end
    end
  end
  return table.concat(kept, ','), count, first
end

local function take_permit(s, token)
  if token == '' then return false end
  local kept, found = {}, false
  for held, expiry in string.gmatch(s.permits, '([^:,]+):(%d+)') do
    if held == token then found = true else kept[#kept + 1] = held .. ':' .. expiry end
  end
  s.permits = table.concat(kept, ',')
  return found
end

-- Gives back trial permits: the one with the token `who`, or all that the holder `who` has (token@holder).
local function free(s, who)
  local kept = {}
  for token, expiry in string.gmatch(s.permits, '([^:,]+):(%d+)') do
    if token ~= who and string.match(token, '@(.+)') ~= who then kept[#kept + 1] = token .. ':' .. expiry end
  end
  s.permits = table.concat(kept, ',')
end

local function tally(outcomes)
  local _, failures = string.gsub(outcomes, '[fF]', '')
  local _, slow = string.gsub(outcomes, '[SF]', '')
  return #outcomes, failures, slow
end

local function add_to_buckets(cfg, window, now, outcomes)
  local width = math.max(1, math.floor(cfg.window_size / BUCKETS))
  local index = math.floor(now / width)
  local calls, failures, slow = tally(outcomes)
  local kept, total_calls, total_failures, total_slow = {}, calls, failures, slow
  for i, c, f, w in string.gmatch(window, '(%d+):(%d+):(%d+):(%d+)') do
    i, c, f, w = tonumber(i), tonumber(c), tonumber(f), tonumber(w)
    local counts = i > index - BUCKETS and i <= index
    if i == index then
      calls, failures, slow = calls + c, failures + f, slow + w
    elseif counts then
      kept[#kept + 1] = string.format('%.0f:%.0f:%.0f:%.0f', i, c, f, w)
    end
    if counts then
      total_calls, total_failures, total_slow = total_calls + c, total_failures + f, total_slow + w
    end
  end
  kept[#kept + 1] = string.format('%.0f:%.0f:%.0f:%.0f', index, calls, failures, slow)
  return table.concat(kept, ','), total_calls, total_failures, total_slow
end

local function add_to_window(cfg, s, now, outcomes)
  if cfg.window == 'time' then
    local calls, failures, slow
    s.window, calls, failures, slow = add_to_buckets(cfg, s.window, now, outcomes)
    return calls, failures, slow
  end
  s.window = string.sub(s.window .. outcomes, -cfg.window_size)
  return tally(s.window)
end

local function add_to_streak(cfg, s, now, outcomes)
  if cfg.window == 'time' and now - s.last_failure_ms >= cfg.window_size then s.streak = 0 end
  for outcome in string.gmatch(outcomes, '.') do
    if outcome == 'f' or outcome == 'F' then
      s.streak, s.last_failure_ms = s.streak + 1, now
    else
      s.streak = 0
    end
  end
end

local function tripped(cfg, s, calls, failures, slow)
  if cfg.failure_threshold > 0 then
    if cfg.consecutive == 1 then
      if s.streak >= cfg.failure_threshold then return integer(s.streak) .. ' failures in a row' end
    elseif failures >= cfg.failure_threshold then
      return integer(failures) .. ' failures in the window'
    end
  end
  if calls < cfg.minimum_calls then return nil end
  if cfg.failure_rate > 0 and failures >= cfg.failure_rate * calls then
    return integer(failures) .. ' of ' .. integer(calls) .. ' calls failed'
  end
  if cfg.slow_rate > 0 and slow >= cfg.slow_rate * calls then
    return integer(slow) .. ' of ' .. integer(calls) .. ' calls were slow'
  end
  return nil
end

local function record_trial(cfg, s, now, outcomes)
  local outcome = string.sub(outcomes, -1)
  if outcome == 'f' or outcome == 'F' then return open(cfg, s, now, 'trial call failed') end
  if outcome == 'S' and cfg.slow_rate > 0 then return open(cfg, s, now, 'trial call was slow') end
  s.passed = s.passed + 1
  if s.passed >= cfg.half_open_permits then return shift(s, 'closed', now, 'trial calls succeeded', '') end
  return nil
end

local function record(cfg, s, now, generation, token, outcomes)
  expire_override(s, now)
  if outcomes == '' then return nil end
  local calls, failures, slow = tally(outcomes)
  s.successes, s.failures, s.slow = s.successes + calls - failures, s.failures + failures, s.slow + slow
  if generation ~= s.generation or s.state == 'open' or (s.state == 'half_open' and not take_permit(s, token)) then
    s.late = s.late + calls
    return nil
  end
  if s.state == 'half_open' then return record_trial(cfg, s, now, outcomes) end
  add_to_streak(cfg, s, now, outcomes)
  calls, failures, slow = add_to_window(cfg, s, now, outcomes)
  if s.override == 'closed' then return nil end
  local reason = tripped(cfg, s, calls, failures, slow)
  if reason then return open(cfg, s, now, reason) end
  return nil
end

local function retry_after_ms(cfg, s, now)
  if s.state == 'closed' then return 0 end
  if s.state == 'open' then
    if s.until_ms < 0 then return cfg.recovery_ms end
    return math.max(0, s.until_ms - now)
  end
  local _, count, first = live_permits(s, now)
  if count + s.passed < cfg.half_open_permits then return 0 end
  local look = math.max(1, math.floor(cfg.recovery_ms / 10))
  return count == 0 and look or math.min(first - now, look)
end

-- Returns admitted (boolean), the permit's token ('' when none is needed) and the change or nil.
local function enter(cfg, s, now, token)
  expire_override(s, now)
  if s.state == 'closed' then return true, '', nil end
  local change = nil
  if s.state == 'open' and s.until_ms >= 0 and now >= s.until_ms then
    change = shift(s, 'half_open', now, 'recovery timeout over', '')
  end
  if s.state == 'half_open' then
    local live, count = live_permits(s, now)
    s.permits = live
    if count + s.passed < cfg.half_open_permits then
      local lease = cfg.permit_lease_ms
      if lease <= 0 then lease = math.max(s.recovery_ms, cfg.recovery_ms) end
      s.permits = live .. (live == '' and '' or ',') .. token .. ':' .. integer(now + lease)
      return true, token, change
    end
  end
  s.rejected = s.rejected + 1
  return false, '', change
end

local function set_override(s, kind, now, lasts_ms, by, reason)
  s.override, s.override_by, s.override_reason = kind, by, reason
  s.override_until_ms = lasts_ms > 0 and now + lasts_ms or 0
end

local function command(cfg, s, now, name, lasts_ms, by, reason)
  expire_override(s, now)
  if name == 'force_open' then
    local change = shift(s, 'open', now, reason, by)
    s.until_ms = lasts_ms > 0 and now + lasts_ms or -1
    set_override(s, 'open', now, lasts_ms, by, reason)
    return change
  end
  if name == 'force_closed' then
    set_override(s, 'closed', now, lasts_ms, by, reason)
    return shift(s, 'closed', now, reason, by)
  end
  if name == 'reset' then
    set_override(s, '', now, 0, '', '')
    s.openings, s.recovery_ms, s.last_failure_ms, s.repaired = 0, 0, 0, ''
    return shift(s, 'closed', now, reason, by)
  end
  if name == 'carry' and s.state == 'closed' and s.override == '' then
    local change = open(cfg, s, now, reason)
    s.until_ms = now + lasts_ms
    return change
  end
  return nil
end
