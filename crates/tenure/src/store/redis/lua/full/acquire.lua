-- An acquire, as one that only asks or as one that waits.
--
-- needs   full, full/grants, full/holders, full/layout, full/queue, full/state, full/tombstones,
--         marker, prelude

-- Begins a lease of what is free.
local function take(step)
  local fence = next_fence(step.fence)
  if step.units == ALL then
    if not take_lock(step.owner, now + step.ttl) then
      return { 'mismatch', not_a_lock() or 'the key is in use' }
    end
  elseif #state.holders == 0 then
    local reason = not_a_lock()
    if reason then return { 'mismatch', reason } end
  end
  return { 'granted', add_holder(step, now + step.ttl, fence) }
end

-- The answer to a step that only looks, of a key that it could have.
local function look(step)
  -- This fails if the fence cannot grow.
  next_fence(step.fence)
  local reason = (step.units == ALL or #state.holders == 0) and not_a_lock()
  return reason and { 'mismatch', reason } or { 'free' }
end

-- Gives a waiter its place, or keeps the one that it has; `rank` is where that stands.
local function wait(step, id, mine, rank)
  local ahead = rank or state.waiting
  if not mine then
    call('ZADD', names.queue, digits(state.arrivals + 1), id)
    state.arrivals, state.waiting = state.arrivals + 1, state.waiting + 1
    if step.units < ALL then state.shares = state.shares + 1 end
    key.is_dirty = true
    mine = { owner = step.owner, attempt = step.attempt, since = now, stamp = step.stamp }
    mine.units, mine.is_plain = step.units, step.is_plain
  end
  mine.label, mine.inbox, mine.value = step.label, step.inbox, step.value
  mine.lease, mine.expires = math.min(step.window, step.ttl), now + step.window
  mine.stamp = max(mine.stamp, step.stamp)
  put_place(id, mine)
  return { 'queued', ahead, look_in(mine.units, ahead, step.window), blocker() }
end

-- Whether another claim of the same owner holds.
local function holds_itself(owner)
  for _, holder in ipairs(state.holders) do
    -- A buried holder is the rest of a `min_hold`: it is not a lease, and ends by itself.
    if holder.owner == owner and not is_buried(holder) then return true end
  end
end

function acquire(step)
  if is_buried(step) then return { 'withdrawn' } end
  local index = find_holder(step)
  if index then return step.only_looks and { 'free' } or hold_on(index, step.ttl) end
  local id = id_of(step)
  local mine = state.waiting > 0 and place_of(id)
  -- The queue itself can have been lost: then it stands at the end of the new one.
  local rank = mine and rank_of(id)
  if not rank then mine = false end
  -- A place keeps the claim with which it was taken.
  local refused = not mine and agree_on(step)
  if refused then return refused end
  if not mine and state.waiting == 0 and not is_foreign() and not is_guarded
    and used() + step.units <= step.limit then
    return (step.only_looks and look or take)(step)
  end
  -- Nobody holds, and still the head of the queue has nothing: is there something else?
  if is_foreign() or (#state.holders == 0 and not is_guarded) then
    local reason = not_a_lock()
    if reason then return { 'mismatch', reason } end
  end
  if step.window == 0 then
    local ahead = rank or state.waiting
    local units = mine and mine.units or step.units
    return { 'busy', look_in(units, ahead, FOREIGN_LOOK), blocker() }
  end
  if not mine and holds_itself(step.owner) then return { 'self_held' } end
  return wait(step, id, mine, rank)
end
