-- The key in hand, as the machine has it.
--
-- needs   preface, full/layout, layout, prelude
-- gives   match, max, ms, digits, names, key, state, holds_lock, has_shares, set_lock, take_lock,
--         load, save
local pack, unpack_from, match, max = struct.pack, struct.unpack, string.match, math.max

-- A time in milliseconds, as commands want it: at least one.
local function ms(micros)
  return max(1, math.ceil(micros / 1000))
end

-- A whole number as text. The server would write it out as a fraction, which costs more.
local function digits(integer)
  return format('%d', integer)
end

-- Its names on the server: lock, record, queue, places, alive, buried.
local names
-- lock       the lock's value, or its owner if it says everything; false for none
-- says_all   whether it says everything
-- is_dirty   whether the state has changed
-- is_purged  whether what has expired is forgotten
-- keeps      whether a step of this call keeps or ends a lease, which memory pressure must not
--            forbid
-- places     as far as they are known, by waiter; false for none
-- unwritten  the waiters whose place is yet to be written
-- ranks      which place each waiter has in the queue, if many ask for theirs
local key
-- The record: fence, limit (of the shares; none without any), holders, waiting (how many), shares
-- (how many of these want one), arrivals (how many ever), buried (until when an owner is refused),
-- run and run_before (the last run of a job, and the one before it).
local state

-- Whether the holder is exclusive. Then the lock is its.
local function holds_lock()
  local holder = state.holders[1]
  return holder and holder.units == ALL
end

-- Whether shares are held or waited for.
local function has_shares()
  local holder = state.holders[1]
  return state.shares > 0 or holder and holder.units < ALL
end

local function set_lock(owner, expires)
  key.says_all = false
  call('SET', names.lock, owner, 'PX', digits(ms(expires - now)))
end

-- Writes nothing, and answers so, where anything stands under the lock's name.
local function take_lock(owner, expires)
  key.says_all = false
  return call('SET', names.lock, owner, 'PX', digits(ms(expires - now)), 'NX')
end

-- The state by the lock's value, the record and the holder that the lock names if it says all.
local function read_state(lock, record, seen)
  if seen then seen.units = ALL end
  if not record then
    return {
      fence = seen and seen.fence or 0, holders = { seen }, waiting = 0, shares = 0, arrivals = 0,
      buried = 0,
    }
  end
  local form, waiting, arrivals, claim_at = sub(record, 1, 2), 0, 0, SINGLE_CLAIM_AT
  if form == QUEUED then
    waiting, arrivals = unpack_from(LINE, record, LINE_AT)
    claim_at = QUEUED_CLAIM_AT
  elseif form ~= SINGLE then
    return unpack_record(form, record)
  end
  local fence, since, expires = unpack_from(LEASE, record, LEASE_AT)
  local owner, _, attempt, label = match(record, CLAIM, claim_at)
  local holders = {}
  -- Without a holder the owner is empty, and so may be the value of another library's lock.
  if lock and owner ~= '' and (lock == owner or seen and seen.owner == owner) then
    holders[1] = {
      owner = owner, attempt = attempt, label = label, units = ALL, fence = fence, since = since,
      expires = expires,
    }
  end
  return {
    fence = fence, holders = holders, waiting = waiting, shares = 0, arrivals = arrivals,
    buried = 0,
  }
end

-- The same. A plain lock's key says when the lease ends; without a ttl it is no lock.
local function load(lock, record, seen)
  local loaded = read_state(lock, record, seen)
  local holder = loaded and loaded.holders[1]
  if holder and holder.expires == 0 then
    local left = call('PTTL', names.lock)
    holder.is_plain = true
    if left >= 0 then holder.expires = now + 1000 * max(1, left) end
  end
  return loaded
end

local function record_of_state()
  local holder = state.holders[1]
  if not has_shares() then state.limit = nil end
  -- The short forms have one fence for both, the key's and the holder's.
  local has_one_fence = not holder or holder.fence == state.fence
  local has_more = state.limit or state.run or holder and holder.value
  if has_more or state.buried ~= 0 or not has_one_fence then return pack_record(state) end
  local form, line, since, expires, claim = SINGLE, '', 0, 0, NOBODY
  if holder then
    since, expires = holder.since, holder.is_plain and 0 or holder.expires
    claim = holder.owner .. '\n' .. LAYOUT .. holder.attempt .. holder.label
  end
  if state.waiting > 0 then form, line = QUEUED, pack(LINE, state.waiting, state.arrivals) end
  return form .. pack(LEASE, state.fence, since, expires) .. line .. claim
end

local function save()
  local px = tonumber(retention)
  for _, holder in ipairs(state.holders) do
    px = max(px, ms(holder.expires - now) + retention)
  end
  local run = state.run
  if run then px = max(px, ms(run.begun + run.every - now) + retention) end
  local record, holder = record_of_state(), state.holders[1]
  local written = ask('SET', names.record, record, 'PX', digits(px))
  if written.err and key.keeps then
    -- As in `make_room`.
    call('PEXPIRE', names.record, digits(px))
    written = ask('SET', names.record, record, 'PX', digits(px))
  end
  if written.err then error(written, 0) end
  -- One that finds a lock that says everything need not look for a record.
  if key.says_all and holder and key.lock == holder.owner then
    set_lock(key.lock, holder.expires)
  end
end
