-- The records of keys that have more than a mutex and its queue. A program of a time before there
-- were shares does not know the form of a key with shares, and refuses the key.
--
--   1G    of exclusive claims alone: packed, with 1 unit of 1 for each
--   1H    of a key with shares: packed, with their limit, how many of them wait, and the units of
--         each holder
--   1R    of a key with a run of a job: as 1H (a limit of 0: none), and the last run, and while
--         that may be withdrawn the one before it: owner, attempt, label, begun, every, outcome
--         (ok, failed, or empty: not told), why it failed, and how long it took (-1: not told)
--
-- A waiter's place has units, too: 1 if it is exclusive, and below zero for a share.
--
-- needs   layout
-- gives   ALL, unpack_record, pack_record

-- More units than any limit has: those of an exclusive claim, which so fits beside nothing.
local ALL = 2147483648
local unpack_record, pack_record
do
  local GENERAL, SHARED, RUN = '1G', '1H', '1R'

  local function read_run(r)
    return r and {
      owner = r[1], attempt = r[2], label = r[3], begun = r[4], every = r[5], outcome = r[6],
      why = r[7], took = r[8],
    }
  end

  local function pack_run(r)
    return r and { r.owner, r.attempt, r.label, r.begun, r.every, r.outcome, r.why, r.took }
  end

  function unpack_record(form, packed)
    if form ~= GENERAL and form ~= SHARED and form ~= RUN then return nil end
    local general, holders = cmsgpack.unpack(packed), {}
    for index, h in ipairs(general.holders) do
      holders[index] = {
        owner = h[1], attempt = h[2], label = h[3], units = form ~= GENERAL and h[4] or ALL,
        fence = h[5], since = h[6], expires = h[7],
      }
    end
    general.holders = holders
    if form == GENERAL then general.limit, general.shares = nil, 0 end
    if general.limit == 0 then general.limit = nil end
    general.run, general.run_before = read_run(general.run), read_run(general.run_before)
    return general
  end

  function pack_record(state)
    local holders = {}
    for index, h in ipairs(state.holders) do
      local units = (state.limit or state.run) and h.units or 1
      holders[index] = { h.owner, h.attempt, h.label, units, h.fence, h.since, h.expires }
    end
    return (state.run and RUN or state.limit and SHARED or GENERAL) .. cmsgpack.pack({
      layout = LAYOUT, fence = state.fence, limit = state.limit or state.run and 0 or 1,
      shares = state.shares, holders = holders, waiting = state.waiting,
      arrivals = state.arrivals, buried = state.buried, run = pack_run(state.run),
      run_before = pack_run(state.run_before),
    })
  end
end
