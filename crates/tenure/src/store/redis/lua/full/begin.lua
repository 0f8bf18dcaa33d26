-- The begin of a run: an acquire, if one is due.
--
-- needs   full, full/holders, full/run, full/state, prelude

-- The time that counts: this server's, or a proposal that is near it. None if it is too far.
local function time_of(step)
  if step.proposed < 0 then return now end
  return math.abs(step.proposed - now) <= step.within and step.proposed
end

local function is_due(run, step, time)
  if not run then return true end
  local is_open = run.outcome == ''
  local runs_yet = is_open and is_running(run)
  if runs_yet then return false end
  if step.retries and (is_open or run.outcome == 'failed') then return true end
  if step.from_last then return time >= run.begun + step.every end
  return math.floor(time / step.every) > math.floor(run.begun / step.every)
end

function begin(step)
  local time, run = time_of(step), state.run
  if not time then
    return {
      'refused', 'the clocks of the two hosts are too far apart for ticks of this length',
    }
  end
  local is_own = run and run.owner == step.owner and run.attempt == step.attempt
  local is_repeated = is_own and run.outcome == '' and find_holder(step)
  if not is_repeated and (is_own or not is_due(run, step, time)) then
    return { 'already_ran', told_run() }
  end
  local reply = acquire(step)
  if reply[1] ~= 'granted' or is_repeated then return reply end
  state.run, state.run_before = {
    owner = step.owner, attempt = step.attempt, label = step.label,
    begun = run and max(run.begun, time) or time, every = step.every, outcome = '', why = '',
    took = -1,
  }, run
  key.is_dirty = true
  return reply
end
