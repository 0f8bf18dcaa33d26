-- Steps of one key: how they are read, carried out and answered.
--
-- needs   fences, full, full/grants, full/queue, full/state, lock, prelude, steps
-- gives   OPERATIONS, failed, carry_out, take_in_hand, carry_out_steps

-- The answer of a step that failed: each answers for itself, and those that come with it go on.
-- An error of the server as a whole (it is a replica, its disk is full) ends the call instead. A
-- server says that at a call's first write, so that nothing was written then; the same goes for
-- memory.
local function failed(failure)
  local text = type(failure) == 'table' and failure.err or tostring(failure)
  for code in string.gmatch(
    'READONLY MISCONF NOREPLICAS MASTERDOWN CLUSTERDOWN TRYAGAIN LOADING', '%a+'
  ) do
    if find(text, code, 1, true) then error(failure, 0) end
  end
  return { 'failed', text }
end

local OPERATIONS = {
  A = acquire, N = renew, R = release, P = handoff, W = withdraw, T = transfer, F = force,
  H = raise, S = steal, C = resize, L = set_limit, B = begin, E = finish,
}

local function transition(step)
  -- The record may be of a step that did not know the fences of locks without one.
  if not state.holders[1] then state.fence = max(state.fence, floor_before) end
  if not key.is_purged then
    -- Time stands still during a call: nothing expires between two steps.
    purge()
    grant_from_queue()
    key.is_purged = true
  end
  local was_dirty = key.is_dirty
  key.is_dirty = false
  local is_done, reply = pcall(OPERATIONS[step.letter], step)
  local has_changed = key.is_dirty
  -- The grant to the next in line is not part of this step.
  local is_granted, why = pcall(grant_from_queue)
  key.is_dirty = key.is_dirty or was_dirty
  if not is_done then error(reply, 0) end
  if not is_granted then failed(why) end
  return reply, has_changed
end

-- One step: its reply, and whether that rests on a changed record.
local function carry_out(step)
  if step.letter == 'I' then
    local is_done, seen = pcall(inspect)
    return is_done and seen or failed(seen), false
  end
  local was_dirty, was_fence = key.is_dirty, state.fence
  key.is_dirty = false
  local is_done, reply, has_changed = pcall(transition, step)
  if not key.is_dirty then state.fence = was_fence end
  key.is_dirty = key.is_dirty or was_dirty
  if not is_done then return failed(reply), false end
  return reply, has_changed
end

local function fail_all(replies, is_meant, failure)
  local reply = failed(failure)
  for index, old in ipairs(replies) do
    if is_meant(index, old) then replies[index] = reply end
  end
end

local function refuse(count, reply)
  local replies = {}
  for index = 1, count do replies[index] = reply end
  return replies
end

-- Takes a key in hand; answers why that cannot be.
local function take_in_hand(first, others)
  if found[first] == nil then
    local both = call('MGET', KEYS[first], KEYS[first + 1])
    found[first], found[first + 1] = both[1], both[2]
  end
  local lock, record, seen, layout = found[first], found[first + 1], nil, nil
  if lock then seen, layout = read_lock(lock) end
  names = {
    lock = KEYS[first], record = KEYS[first + 1], queue = KEYS[others], places = KEYS[others + 1],
    alive = KEYS[others + 2], buried = KEYS[others + 3],
  }
  key = {
    lock = seen and seen.owner or lock, says_all = seen ~= nil, is_dirty = false,
    is_purged = false, keeps = false, places = {}, unwritten = {},
  }
  local is_read, loaded = true, nil
  if not layout then is_read, loaded = pcall(load, lock, record, seen) end
  if not is_read then return failed(loaded) end
  state = loaded
  if state then return end
  return {
    'mismatch', 'it has a layout that this program does not know ('
      .. format('%q', layout or sub(record, 1, 2)) .. '); use one version of Tenure',
  }
end

-- Carries out steps of one key, whose record is read and written once for all of them. Each step
-- answers for itself; one whose outcome could not be saved has failed.
local function carry_out_steps(steps)
  local refused = take_in_hand(steps.first, steps.others)
  if refused then return refuse(#steps, refused) end
  local replies, rests = {}, {}
  local is_near, why = pcall(read_ahead, steps)
  if not is_near then failed(why) end
  for index, step in ipairs(steps) do
    replies[index], rests[index] = carry_out(step)
    -- Memory pressure may forbid what grants, and nothing else.
    key.keeps = key.keeps or (rests[index] and not find('ASBV', step.letter, 1, true))
    if #key.unwritten >= MANY or index == #steps then
      local is_done, failure = pcall(write_places)
      local is_queued = not is_done and function(_, reply)
        return reply[1] == 'queued' or (reply[1] == 'passed' and reply[3][1] == 'queued')
      end
      if is_queued then fail_all(replies, is_queued, failure) end
    end
  end
  if not key.is_dirty then return replies end
  local is_saved, failure = pcall(save)
  if not is_saved then
    -- The next step finds expired leases again. Nothing else has changed.
    fail_all(replies, function(index) return rests[index] end, failure)
  end
  return replies
end
