-- Changes of units in place.
--
-- needs   full, full/grants, full/holders, full/layout, full/state, full/tombstones, marker

-- Gives a lease more units, if they are free and nobody waits; answers why not.
local function grow(holder, step)
  if is_guarded then return refused_by_guard() end
  local others = used() - holder.units
  if state.waiting > 0 or is_foreign() or others + step.units > step.limit then
    local units, ahead = step.units, state.waiting
    return { 'busy', look_in(units, ahead, FOREIGN_LOOK, holder), blocker(holder) }
  end
  local fence = next_fence()
  if step.units == ALL then
    if not take_lock(holder.owner, holder.expires) then
      return { 'mismatch', not_a_lock() or 'the key is in use' }
    end
    key.lock = holder.owner
  end
  holder.fence, state.fence = fence, fence
end

function resize(step)
  if is_buried(step) then return { 'withdrawn' } end
  local index = find_holder(step)
  if not index then return { 'gone' } end
  local holder = state.holders[index]
  local had = holder.units
  if had == step.units and (had == ALL or state.limit == step.limit) then
    return { 'resized', holder.fence }
  end
  if holder.fence ~= step.fence or had ~= step.from then
    return { 'mismatch', 'its lease was changed since this was sent' }
  end
  local refused = agree_on(step) or step.units > had and grow(holder, step)
  if refused then return refused end
  if had == ALL then delete_lock() end
  holder.units, key.is_dirty = step.units, true
  return { 'resized', holder.fence }
end
