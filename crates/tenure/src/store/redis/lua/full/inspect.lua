-- A look that writes nothing. Expired leases and places are left out.
--
-- needs   full, full/grants, full/holders, full/layout, full/queue, full/run, full/state, prelude

-- The units of a claim as they are told: none of an exclusive one, which has all.
local function told_units(units)
  return units < ALL and units or 0
end

local function live_holders()
  local holders = {}
  for _, h in ipairs(state.holders) do
    if h.expires > now and (h.units < ALL or key.lock == h.owner) then
      local units, since, left = told_units(h.units), age(h.since), h.expires - now
      holders[#holders + 1] = { h.owner, h.attempt, h.label, units, h.fence, since, left, h.value }
    end
  end
  return holders
end

local function live_waiters()
  local waiters = {}
  if state.waiting == 0 then return waiters end
  for _, id in ipairs(call('ZRANGE', names.queue, 0, -1)) do
    local place = place_of(id)
    if place and place.expires > now then
      waiters[#waiters + 1] = { place.label, told_units(place.units), age(place.since) }
    end
  end
  return waiters
end

function inspect()
  local holders, waiters, condition, about = live_holders(), live_waiters(), 'free', ''
  if #holders > 0 then
    condition = 'held'
  else
    local kind = call('TYPE', names.lock).ok
    local is_ours = holds_lock() and is_lock_of(state.holders[1])
    if kind ~= 'none' and not is_ours then
      condition = 'foreign'
      about = not_a_lock() or 'held by another library (its value is not an owner of Tenure)'
    end
  end
  -- One without shares counts as 1.
  local limit = (#holders > 0 or #waiters > 0) and 1 or 0
  for _, holder in ipairs(holders) do limit = holder[4] > 0 and state.limit or limit end
  for _, waiter in ipairs(waiters) do limit = waiter[2] > 0 and state.limit or limit end
  return { 'inspected', condition, about, limit, state.fence, holders, waiters, told_run() }
end
