-- Changes of units and of the limit, in place.
--
-- needs   full, full/grants, full/holders, full/layout, full/queue, full/state, full/tombstones,
--         marker, prelude

-- Gives a lease more units, if they are free and nobody waits; answers why not.
local function grow(holder, step)
  if is_guarded then return refused_by_guard() end
  local others = used() - holder.units
  if state.waiting > 0 or is_foreign() or others + step.units > step.limit then
    local units, ahead = step.units, state.waiting
    return { 'busy', look_in(units, ahead, FOREIGN_LOOK, holder), blocker(holder) }
  end
  if step.units == ALL then
    if not take_lock(holder.owner, holder.expires) then
      return { 'mismatch', not_a_lock() or 'the key is in use' }
    end
    key.lock = holder.owner
  end
end

function resize(step)
  if is_buried(step) then return { 'withdrawn' } end
  local index = find_holder(step)
  if not index then return { 'gone' } end
  local holder = state.holders[index]
  if holder.is_plain then return { 'mismatch', 'its value is plain, and no share has one' } end
  local had, keeps_units = holder.units, step.from == step.units
  local is_so = had == step.units and (had == ALL or state.limit == step.limit)
  if is_so and not keeps_units then
    return { 'resized', holder.fence }
  end
  if holder.fence ~= step.fence or had ~= step.from then
    return { 'mismatch', 'its lease was changed since this was sent' }
  end
  local refused = agree_on(step) or step.units > had and grow(holder, step)
  if refused then return refused end
  if step.units > had or keeps_units then
    -- A late request from before this must not be taken for a new one.
    holder.fence = next_fence()
    state.fence = holder.fence
  end
  if had == ALL and step.units < ALL then delete_lock() end
  holder.units, key.is_dirty = step.units, true
  return { 'resized', holder.fence }
end

-- Takes the places of those that wait for more than there are.
local function remove_too_large(limit)
  local ids = call('ZRANGE', names.queue, '0', '-1')
  for index, id in ipairs(ids) do
    if index % MANY == 1 then read_places(ids) end
    local place = place_of(id)
    if place and place.units < ALL and place.units > limit then remove_place(id) end
  end
end

-- No limit is larger.
local LIMIT_MAX = ALL / 2

function set_limit(step)
  local limit, was = step.limit, has_shares() and state.limit or 0
  if limit < 1 or limit > LIMIT_MAX then
    return { 'mismatch', 'a limit is from 1 to ' .. digits(LIMIT_MAX) }
  end
  if was > 0 and was ~= limit then
    state.limit, key.is_dirty = limit, true
    if limit < was and state.shares > 0 then remove_too_large(limit) end
  end
  return { 'limit_set', was }
end
