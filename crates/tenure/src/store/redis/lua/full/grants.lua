-- Grants to the head of the queue, once what has expired is gone; and what is told instead.
--
-- needs   full/holders, full/layout, full/queue, full/state, full/tombstones, marker, place,
--         prelude
-- gives   FOREIGN_LOOK, not_a_lock, limit_for, grant_from_queue, purge, look_in, blocker,
--         refused_by_guard, other_limit, agree_on

-- After so long a lock of another library is looked at again at most, in microseconds.
local FOREIGN_LOOK = 100000
-- In place of the time for which one has held: nobody does, the restart guard is in the way.
local GUARDED = -2

-- The value under the lock's name, if it cannot be a lock; `nil` if it can.
local function not_a_lock()
  local kind = call('TYPE', names.lock).ok
  if kind == 'none' then return nil end
  if kind ~= 'string' then
    return 'the key holds a ' .. kind .. ' of somebody else; choose another key'
  end
  if call('PTTL', names.lock) == -1 then
    return 'the key holds a string without a ttl, which would stay for ever; it is no lock of '
      .. 'Tenure: delete it, or choose another key'
  end
end

-- The limit that a claim of so many units must fit in.
local function limit_for(units)
  return units == ALL and ALL or state.limit
end

-- Gives the lock to the head of the queue, if nothing of somebody else stands there.
local function take_for(place, expires)
  if place.units < ALL then return state.holders[1] or not not_a_lock() end
  make_room(names.queue)
  return take_lock(place.owner, expires)
end

local function grant_from_queue()
  if state.waiting == 0 or is_guarded then return end
  local held = used()
  -- Where no share fits, nothing does.
  while state.waiting > 0 and held < (state.limit or ALL) and not is_foreign() do
    local id = call('ZRANGE', names.queue, '0', '0')[1]
    local place = id and place_of(id)
    if not id then
      set_waiting(0)
    elseif not place or place.expires <= now then
      -- A place can be lost, by an eviction or between two writes, and so can the moment when it
      -- dies.
      remove_place(id)
    else
      held = held + place.units
      if held > limit_for(place.units) then return end
      local expires, fence = now + place.lease, next_fence()
      if not take_for(place, expires) then return end
      remove_place(id)
      add_holder(place, expires, fence)
      announce(names.lock, place, fence)
    end
  end
end

local function purge_holders()
  for index = #state.holders, 1, -1 do
    local holder = state.holders[index]
    -- One that deletes the lock, or puts another value there, has ended the lease.
    if holder.units == ALL and not is_lock_of(holder) then
      table.remove(state.holders, index)
      key.is_dirty = true
    elseif holder.expires <= now then
      remove_holder(index)
    end
  end
end

local function purge()
  purge_holders()
  if state.waiting > 0 then
    for _, id in ipairs(call('ZRANGEBYSCORE', names.alive, '-inf', digits(now))) do
      remove_place(id)
    end
    -- The queue's keys can expire as a whole, when nobody has shown a sign of life.
    local waiting = call('ZCARD', names.queue)
    if waiting ~= state.waiting then set_waiting(waiting) end
  end
  if state.buried > 0 then
    if state.buried <= now then state.buried, key.is_dirty = 0, true end
    call('ZREMRANGEBYSCORE', names.buried, '-inf', digits(now))
  end
end

-- After what time a claim of `units` behind the first `ahead` places is free if nobody does
-- anything until then; a holder that asks has its own lease already. Far back in a long queue the
-- answer is "at the next heartbeat".
local function look_in(units, ahead, window, own)
  if is_foreign() then
    local left = call('PTTL', names.lock) * 1000
    if ahead > 0 then return window end
    return max(1000, math.min(left, FOREIGN_LOOK))
  end
  if ahead > NEAR then return window end
  -- How long the restart guard holds yet its sender knows better.
  if is_guarded and not state.holders[1] then return window end
  local ends, sum = {}, 0
  for _, holder in ipairs(state.holders) do
    if holder ~= own then ends[#ends + 1] = holder end
  end
  if ahead > 0 then
    local ids = call('ZRANGE', names.queue, '0', digits(ahead - 1))
    read_places(ids)
    for _, id in ipairs(ids) do ends[#ends + 1] = key.places[id] or nil end
  end
  table.sort(ends, function(one, other) return one.expires < other.expires end)
  for _, part in ipairs(ends) do sum = sum + part.units end
  for _, part in ipairs(ends) do
    sum = sum - part.units
    if sum + units <= limit_for(units) then return max(0, part.expires - now) end
  end
  return 0
end

-- The holder in the way, for the answer: its label, and the time since its grant.
local function blocker(own)
  local holder = state.holders[state.holders[1] == own and 2 or 1]
  if holder then return holder.label, age(holder.since) end
  if is_foreign() then
    local seconds = math.ceil(call('PTTL', names.lock) / 1000)
    return ('a holder that is not Tenure, whose key lasts %d s more'):format(seconds), 0
  end
  return '', is_guarded and GUARDED or -1
end

-- The answer in place of a grant, by a server that may have forgotten leases.
local function refused_by_guard()
  return { 'busy', 0, '', GUARDED }
end

local function other_limit(limit)
  return { 'mismatch', ('it is in use with a limit of %d, and a limit of %d was asked for'):format(
    state.limit, limit) }
end

-- Why the key cannot be used by a claim with such a limit. Shares alone have one, and where there
-- are none, the key takes it on.
local function agree_on(claim)
  if claim.units == ALL then return end
  if has_shares() and state.limit ~= claim.limit then return other_limit(claim.limit) end
  state.limit = claim.limit
end
