-- The end of a claim: a release, a withdrawal, a handoff.
--
-- needs   full, full/grants, full/holders, full/layout, full/queue, full/state, full/tombstones,
--         marker, prelude
-- gives   give_back

-- Ends a lease, or lets it last as long as `min_hold` says; answers its tombstone's span.
local function end_lease(index, min_hold, tombstone)
  if tombstone >= 0 and not holds_lock() then make_room(names.buried) end
  local holder = state.holders[index]
  local till = math.min(holder.since, now) + min_hold
  if till <= now then
    remove_holder(index)
    return tombstone
  end
  if holds_lock() then call('PEXPIRE', names.lock, digits(ms(till - now))) end
  holder.expires, key.is_dirty = till, true
  return max(tombstone, till - now, TOMBSTONE_MIN)
end

local function give_back(claim, min_hold, tombstone)
  local reply = { 'released' }
  local index, waits = find_holder(claim), is_waiting(claim)
  -- A holder waits only where a part of the key was removed by others: then both end.
  if waits then remove_place(id_of(claim)) end
  if index then
    tombstone = end_lease(index, min_hold, tombstone)
  elseif not waits then
    reply = { (#state.holders > 0 or is_foreign()) and 'others' or 'gone' }
  end
  -- Last, since it is refused under memory pressure unless something was written before.
  if tombstone >= 0 then bury(claim, tombstone) end
  return reply
end

function release(step)
  return give_back(step, step.min_hold, step.tombstone)
end

function withdraw(step)
  local run = state.run
  -- A run that is withdrawn was never begun: its holder had no answer.
  if run and run.owner == step.owner and run.attempt == step.attempt and run.outcome == '' then
    state.run, state.run_before, key.is_dirty = state.run_before, nil, true
  end
  return give_back(step, 0, step.tombstone)
end

-- Gives the lock to the next one ahead of the queue, and takes its place away.
local function give(to, place)
  local fence, lease = next_fence(to.fence), to.ttl
  -- No shorter than what its place would have brought it.
  if place then lease = max(lease, place.lease) end
  if to.units < ALL then
    state.limit = to.limit
  else
    make_room(names.queue)
    -- While shares were held, the name was free for somebody else.
    if not take_lock(to.owner, now + lease) then return end
  end
  if is_waiting(to) then remove_place(id_of(to)) end
  add_holder(to, now + lease, fence)
end

-- A release and an acquire in one step. Ahead of the queue only for an owner that gives up what it
-- holds; what it grants then is pushed to nobody, since the answer says it.
function handoff(step)
  local to, index = step.to, find_holder(step)
  local is_itself = step.owner == to.owner and step.attempt == to.attempt
  local is_ahead = step.is_ahead and not is_itself and index and not is_buried(step)
    and math.min(state.holders[index].since, now) + step.min_hold <= now
  local released = release(step)
  local place = is_ahead and is_waiting(to) and place_of(id_of(to))
  -- Its place keeps the claim with which it was taken.
  if place then to.units, to.limit = place.units, limit_for(place.units) end
  local is_free = not is_foreign() and not is_guarded and not agree_on(to)
  if is_ahead and is_free and used() + to.units <= to.limit and not find_holder(to)
    and not is_buried(to) then
    give(to, place)
  end
  grant_from_queue()
  -- Granted above or not: an acquire answers either way. To oneself it would grant anew whenever it
  -- is repeated.
  return { 'passed', released, is_itself and { 'withdrawn' } or acquire(to) }
end
