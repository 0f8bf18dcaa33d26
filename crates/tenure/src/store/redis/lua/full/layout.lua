-- The records of keys that have more than a mutex and its queue. A program of a time before there
-- were shares does not know the form of a key with shares, and refuses the key.
--
--   1G    of exclusive claims alone: packed, with 1 unit of 1 for each
--   1H    of a key with shares, unless it has the form 1R: packed, with their limit,
--         how many of them wait, and the units of each holder
--
-- A waiter's place has units, too: 1 if it is exclusive, and below zero for a share.
--
-- needs   layout, prelude
-- gives   ALL, unpack_record, pack_record

-- More units than any limit has: those of an exclusive claim, which so fits beside nothing.
local ALL = 2147483648
local unpack_record, pack_record
do
  local GENERAL, SHARED = '1G', '1H'
  -- include shares_layout

  local function number(record, from, to)
    return tonumber(sub(record, from, to - 1))
  end

  local function unpack_shares(record)
    local fence, limit = struct.unpack(SHARES_HEAD, record, LEASE_AT)
    local holders, mark = {}, find(record, MARK, SHARES_AT, true)
    while mark do
      local next_mark = find(record, MARK, mark + 1, true)
      local last = next_mark and next_mark - SHARE_BEGIN - 1 or #record
      local owner, _, attempt, label = string.match(sub(record, mark + 1, last), CLAIM)
      holders[#holders + 1] = {
        owner = owner, attempt = attempt, label = label,
        units = number(record, mark - SHARE_UNITS, mark),
        fence = number(record, mark - SHARE_BEGIN, mark - SHARE_SINCE),
        since = number(record, mark - SHARE_SINCE, mark - SHARE_EXPIRES),
        expires = number(record, mark - SHARE_EXPIRES, mark - SHARE_UNITS),
      }
      mark = next_mark
    end
    return {
      fence = fence, limit = limit, holders = holders, waiting = 0, shares = 0, arrivals = 0,
      buried = 0,
    }
  end

  local function pack_shares(state)
    local used, first_end, last_end, shares = 0, LAST, 0, {}
    for index, h in ipairs(state.holders) do
      used = used + h.units
      first_end, last_end = math.min(first_end, h.expires), math.max(last_end, h.expires)
      local claim = h.owner .. '\n' .. LAYOUT .. h.attempt .. h.label
      shares[index] = format(SHARE, h.fence, h.since, h.expires, h.units, claim)
    end
    return SHARES .. struct.pack(SHARES_HEAD, state.fence, state.limit, used, first_end, last_end)
      .. table.concat(shares)
  end

  function unpack_record(form, record)
    if form == SHARES then return unpack_shares(record) end
    if form ~= GENERAL and form ~= SHARED then return nil end
    local general, holders = cmsgpack.unpack(sub(record, LEASE_AT)), {}
    for index, h in ipairs(general.holders) do
      holders[index] = {
        owner = h[1], attempt = h[2], label = h[3], units = form == SHARED and h[4] or ALL,
        fence = h[5], since = h[6], expires = h[7],
      }
    end
    general.holders = holders
    if form == GENERAL then general.limit, general.shares = nil, 0 end
    return general
  end

  function pack_record(state)
    local holders, first = {}, state.holders[1]
    local is_shared = first and first.units < ALL
    if is_shared and state.waiting == 0 and state.buried == 0 then return pack_shares(state) end
    for index, h in ipairs(state.holders) do
      local units = state.limit and h.units or 1
      holders[index] = { h.owner, h.attempt, h.label, units, h.fence, h.since, h.expires }
    end
    return (state.limit and SHARED or GENERAL) .. cmsgpack.pack({
      layout = LAYOUT, fence = state.fence, limit = state.limit or 1, shares = state.shares,
      holders = holders, waiting = state.waiting, arrivals = state.arrivals,
      buried = state.buried,
    })
  end
end
