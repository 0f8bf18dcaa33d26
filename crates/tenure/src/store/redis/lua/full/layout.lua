-- The records of keys that have more than a mutex and its queue. A program of a time before there
-- were shares does not know the form of a key with shares, and refuses the key.
--
--   1G    of exclusive claims alone: packed, with 1 unit of 1 for each
--   1H    of a key with shares, unless it has the form 1R: packed, with their limit, how many of
--         them wait, and the units of each holder
--   1J    of a key with a run of a job: as 1H (a limit of 0: none), and the last run, and while
--         that may be withdrawn the one before it: owner, attempt, label, begun, every, outcome
--         (ok, failed, or empty: not told), why it failed, and how long it took (-1: not told)
--   1V    of a key of which a holder has a value: packed as 1H, with the value of each holder, as in
--         full/value.lua, which 1J may have too. The limit is 0 without shares. A program of a time
--         before there were values refuses it as well
--
-- A waiter's place has units, too: 1 if it is exclusive, 2 for a plain lock, and below zero for a
-- share. Its value is the last part, if it has one.
--
-- needs   layout, prelude
-- gives   ALL, unpack_record, pack_record

-- More units than any limit has: those of an exclusive claim, which so fits beside nothing.
local ALL = 2147483648
local unpack_record, pack_record
do
  local GENERAL, SHARED, RUN, VALUED = '1G', '1H', '1J', '1V'
  -- include shares_layout

  local function read_run(r)
    return r and {
      owner = r[1], attempt = r[2], label = r[3], begun = r[4], every = r[5], outcome = r[6],
      why = r[7], took = r[8],
    }
  end

  local function pack_run(r)
    return r and { r.owner, r.attempt, r.label, r.begun, r.every, r.outcome, r.why, r.took }
  end

  local KNOWN = { [GENERAL] = true, [SHARED] = true, [RUN] = true, [VALUED] = true }

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
    if not KNOWN[form] then return nil end
    local general, holders = cmsgpack.unpack(sub(record, LEASE_AT)), {}
    for index, h in ipairs(general.holders) do
      holders[index] = {
        owner = h[1], attempt = h[2], label = h[3], units = form ~= GENERAL and h[4] or ALL,
        fence = h[5], since = h[6], expires = h[7], value = h[8],
      }
    end
    general.holders = holders
    if form == GENERAL then general.limit, general.shares = nil, 0 end
    if general.limit == 0 then general.limit = nil end
    general.run, general.run_before = read_run(general.run), read_run(general.run_before)
    return general
  end

  function pack_record(state)
    local holders, form, limit = {}, GENERAL, state.limit
    if limit then form = SHARED end
    for _, h in ipairs(state.holders) do
      if h.value then form = VALUED end
    end
    if state.run then form = RUN end
    if form == SHARED and state.waiting == 0 and state.buried == 0 and state.holders[1] then
      return pack_shares(state)
    end
    for index, h in ipairs(state.holders) do
      local units = form ~= GENERAL and h.units or 1
      local ends = h.is_plain and 0 or h.expires
      holders[index] = { h.owner, h.attempt, h.label, units, h.fence, h.since, ends, h.value }
    end
    return form .. cmsgpack.pack({
      layout = LAYOUT, fence = state.fence, limit = limit or form == GENERAL and 1 or 0,
      shares = state.shares, holders = holders, waiting = state.waiting,
      arrivals = state.arrivals, buried = state.buried, run = pack_run(state.run),
      run_before = pack_run(state.run_before),
    })
  end
end
