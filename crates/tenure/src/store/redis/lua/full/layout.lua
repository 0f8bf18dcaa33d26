-- The records of keys that have more than a mutex and its queue. A program of a time before there
-- were shares does not know the form of a key with shares, and refuses the key.
--
--   1G    of exclusive claims alone: packed, with 1 unit of 1 for each
--   1H    of a key with shares: packed, with their limit, how many of them wait, and the units of
--         each holder
--   1V    of a key of which a holder has a value: packed as 1H, with the value of each holder, as in
--         full/value.lua. The limit is 0 without shares. A program of a time before there were
--         values refuses it as well
--
-- A waiter's place has units, too: 1 if it is exclusive, and below zero for a share. Its value is
-- the last part, if it has one.
--
-- needs   layout
-- gives   ALL, unpack_record, pack_record

-- More units than any limit has: those of an exclusive claim, which so fits beside nothing.
local ALL = 2147483648
local unpack_record, pack_record
do
  local GENERAL, SHARED, VALUED = '1G', '1H', '1V'

  function unpack_record(form, packed)
    if form ~= GENERAL and form ~= SHARED and form ~= VALUED then return nil end
    local general, holders = cmsgpack.unpack(packed), {}
    for index, h in ipairs(general.holders) do
      holders[index] = {
        owner = h[1], attempt = h[2], label = h[3], units = form ~= GENERAL and h[4] or ALL,
        fence = h[5], since = h[6], expires = h[7], value = h[8],
      }
    end
    general.holders = holders
    if form == GENERAL then general.limit, general.shares = nil, 0 end
    if general.limit == 0 then general.limit = nil end
    return general
  end

  function pack_record(state)
    local holders, form, limit = {}, GENERAL, 1
    if state.limit then form, limit = SHARED, state.limit end
    for _, h in ipairs(state.holders) do
      if h.value then form, limit = VALUED, state.limit or 0 end
    end
    for index, h in ipairs(state.holders) do
      local units = form ~= GENERAL and h.units or 1
      holders[index] = { h.owner, h.attempt, h.label, units, h.fence, h.since, h.expires, h.value }
    end
    return form .. cmsgpack.pack({
      layout = LAYOUT, fence = state.fence, limit = limit, shares = state.shares,
      holders = holders, waiting = state.waiting, arrivals = state.arrivals,
      buried = state.buried,
    })
  end
end
