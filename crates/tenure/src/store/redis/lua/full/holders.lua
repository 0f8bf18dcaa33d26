-- Those who hold, and their fences.
--
-- needs   full/layout, full/state, prelude, proposal
-- gives   age, used, find_holder, add_holder, delete_lock, remove_holder, extend, hold_on,
--         is_lock_of, is_foreign, certain, next_fence

-- How long ago that was. The clock can have been set back since.
local function age(moment)
  return max(0, now - moment)
end

-- How many units are held.
local function used()
  local sum = 0
  for _, holder in ipairs(state.holders) do sum = sum + holder.units end
  return sum
end

local function find_holder(claim)
  for index, holder in ipairs(state.holders) do
    if holder.owner == claim.owner and holder.attempt == claim.attempt then return index end
  end
end

local function add_holder(claim, expires, fence)
  table.insert(state.holders, {
    owner = claim.owner, attempt = claim.attempt, label = claim.label, units = claim.units,
    fence = fence, since = now, expires = expires, value = claim.value, is_plain = claim.is_plain,
  })
  state.fence, key.is_dirty = max(state.fence, fence), true
  if claim.units == ALL then key.lock = claim.owner end
  return fence
end

local function delete_lock()
  call('DEL', names.lock)
  key.lock = false
end

local function remove_holder(index)
  local was_exclusive = holds_lock()
  table.remove(state.holders, index)
  key.is_dirty = true
  if was_exclusive and key.lock then delete_lock() end
end

local function extend(holder, ttl)
  if now + ttl <= holder.expires then return end
  if holds_lock() then call('PEXPIRE', names.lock, digits(ms(ttl))) end
  holder.expires, key.is_dirty = now + ttl, true
end

-- The answer to one that holds already.
local function hold_on(index, ttl)
  extend(state.holders[index], ttl)
  return { 'granted', state.holders[index].fence }
end

-- Whether the lock is this holder's. Its key ends with its lease, within a millisecond or two. A
-- value that is the same and stays longer is somebody else's lock.
local KEY_SLACK_MS = 2
local function is_lock_of(holder)
  if key.lock ~= holder.owner then return false end
  if holder.expires > now then return true end
  local left = call('PTTL', names.lock)
  return left >= 0 and left <= KEY_SLACK_MS
end

-- Whether somebody who is not Tenure holds the lock.
local function is_foreign()
  return key.lock and not holds_lock()
end

-- Larger fences could not be counted on from.
local function certain(fence)
  if fence > LAST then error('a fence of ' .. digits(fence) .. ' is too large', 0) end
  return fence
end

local function next_fence(rule)
  local carried = tonumber(match(rule or '', '^c(%d+)$'))
  return certain(carried or max(state.fence + 1, least_by(rule)))
end
