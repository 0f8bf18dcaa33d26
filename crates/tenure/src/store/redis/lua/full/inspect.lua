-- A look that writes nothing. Expired leases and places are left out.
--
-- needs   full, full/grants, full/holders, full/queue, full/state, prelude
local function live_holders()
  local holders = {}
  for _, h in ipairs(state.holders) do
    if h.expires > now and (not is_mutex() or key.lock == h.owner) then
      holders[#holders + 1] =
        { h.owner, h.attempt, h.label, h.units, h.fence, age(h.since), h.expires - now }
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
      waiters[#waiters + 1] = { place.label, place.units, age(place.since) }
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
    local is_ours = is_mutex() and state.holders[1] and is_lock_of(state.holders[1])
    if kind ~= 'none' and not is_ours then
      condition = 'foreign'
      about = not_a_lock() or 'held by another library (its value is not an owner of Tenure)'
    end
  end
  local limit = (#holders > 0 or #waiters > 0) and state.limit or 0
  return { 'inspected', condition, about, limit, state.fence, holders, waiters }
end
