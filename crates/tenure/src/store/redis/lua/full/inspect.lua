-- A look that writes nothing. Expired leases and places are left out.
--
-- needs   full, full/grants, full/holders, full/layout, full/queue, full/run, full/state,
--         full/tombstones, prelude

-- The most bytes of a foreign value that are told, and the most fields of a hash.
local SHOWN_MAX, FIELDS_MAX = 256, 4

-- The units of a claim as they are told: none of an exclusive one, which has all.
local function told_units(units)
  return units < ALL and units or 0
end

local function live_holders()
  local holders = {}
  for _, h in ipairs(state.holders) do
    if h.expires > now and (h.units < ALL or key.lock == h.owner) then
      local units, since, left = told_units(h.units), age(h.since), h.expires - now
      -- One that is refused holds no more: its key is kept for the rest of its `min_hold`.
      local kept = is_buried(h) and 1 or 0
      holders[#holders + 1] =
        { h.owner, h.attempt, h.label, units, h.fence, since, left, kept, h.value }
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

-- The fields of a small hash, which other libraries use for locks; none without the right to see
-- them.
local function told_fields()
  local count = ask('HLEN', names.lock)
  if type(count) ~= 'number' or count > FIELDS_MAX then return end
  local parts, fields = {}, ask('HGETALL', names.lock)
  for at = 1, #fields, 2 do parts[#parts + 1] = fields[at] .. ': ' .. fields[at + 1] end
  return parts[1] and table.concat(parts, ', ')
end

-- The value in the lock's place: its name, type, time left in milliseconds (-1: it stays), size
-- (-1: it is not shown) and beginning.
local function told_value(kind)
  local text
  if kind == 'string' then text = key.lock elseif kind == 'hash' then text = told_fields() end
  local size, begin = text and #text or -1, text and sub(text, 1, SHOWN_MAX) or ''
  return { names.lock, kind, call('PTTL', names.lock), size, begin }
end

function inspect()
  local holders, waiters, condition, about = live_holders(), live_waiters(), 'free', ''
  local value = {}
  if #holders > 0 then
    condition = 'held'
  else
    local kind = call('TYPE', names.lock).ok
    local is_ours = holds_lock() and is_lock_of(state.holders[1])
    if kind ~= 'none' and not is_ours then
      condition, value = 'foreign', told_value(kind)
      about = not_a_lock() or 'held by another library (its value is not an owner of Tenure)'
    end
  end
  -- One without shares counts as 1.
  local limit = (#holders > 0 or #waiters > 0) and 1 or 0
  for _, holder in ipairs(holders) do limit = holder[4] > 0 and state.limit or limit end
  for _, waiter in ipairs(waiters) do limit = waiter[2] > 0 and state.limit or limit end
  return { 'inspected', condition, about, limit, state.fence, holders, waiters, told_run(), value }
end
