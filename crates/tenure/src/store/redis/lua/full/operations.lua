-- Operations that lengthen a lease, raise its fence or transfer it, and those that end the leases
-- of others.
--
-- needs   full, full/grants, full/holders, full/layout, full/queue, full/state, full/tombstones,
--         marker, prelude
function renew(step)
  if is_buried(step) then return { 'withdrawn' } end
  local index = find_holder(step)
  if not index then return { 'gone' } end
  extend(state.holders[index], step.ttl)
  return { 'renewed' }
end

function raise(step)
  if is_buried(step) then return { 'withdrawn' } end
  local index = find_holder(step)
  if not index then return { 'gone' } end
  state.fence = max(state.fence, certain(step.up_to))
  state.holders[index].fence, key.is_dirty = state.fence, true
  return { 'renewed' }
end

function transfer(step)
  local to = step.to
  if is_buried(to) then return { 'withdrawn' } end
  local index = find_holder(to)
  if index then
    return { 'transferred', hold_on(index, step.ttl)[2] }
  end
  index = not is_buried(step) and find_holder(step)
  if not index then return { 'gone' } end
  -- It may have been handed over before, which a server that went back in time does not know.
  if is_guarded then return refused_by_guard() end
  if is_waiting(to) then remove_place(id_of(to)) end
  -- Before the lock changes hands: if this is refused, nothing has changed.
  bury(step, max(step.ttl, TOMBSTONE_MIN))
  local holder = state.holders[index]
  holder.owner, holder.attempt, holder.label = to.owner, to.attempt, to.label
  holder.expires, key.is_dirty = now + step.ttl, true
  if holds_lock() then
    set_lock(to.owner, holder.expires)
    key.lock = to.owner
  end
  return { 'transferred', holder.fence }
end

-- It reaches leases up to a fence. A lock of another library has none: it may be newer than
-- the state that was seen when this was sent.
function force(step)
  local count = 0
  for index = #state.holders, 1, -1 do
    local holder = state.holders[index]
    if holder.fence <= step.up_to then
      make_room(names.buried)
      -- Its heartbeat or repeated acquire may still be under way.
      bury(holder, max(holder.expires - now, TOMBSTONE_MIN))
      remove_holder(index)
      count = count + 1
    end
  end
  return { 'forced', count }
end

function steal(step)
  if is_buried(step) then return { 'withdrawn' } end
  local index = find_holder(step)
  if index then return hold_on(index, step.ttl) end
  if is_guarded then return refused_by_guard() end
  local is_share = step.units < ALL
  if is_share and state.shares > 0 and state.limit ~= step.limit then
    return other_limit(step.limit)
  end
  local reason = (not key.lock or is_foreign()) and not_a_lock()
  if reason then return { 'mismatch', reason } end
  local fence = next_fence(step.fence)
  if is_foreign() then delete_lock() end
  force({ up_to = state.fence })
  if is_waiting(step) then remove_place(id_of(step)) end
  if is_share then
    state.limit = step.limit
  else
    set_lock(step.owner, now + step.ttl)
  end
  return { 'granted', add_holder(step, now + step.ttl, fence) }
end
