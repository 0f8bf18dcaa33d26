-- Carries out steps of keys: the transitions of `logic::Resource`, each as one atomic step.
--
-- KEYS    of a call that may grant, first
--           fence   string, the largest fence of any lock that says everything itself
--           calls   string, the number of the last such call of the same sender
--         then, what a key of ours has on the server:
--           lock    string, the holder; what other libraries use. Claim 1 of 1
--           record  string: what else is known, see below
--           queue   zset, waiter -> order of arrival
--           places  hash, waiter -> packed place
--           alive   zset, waiter -> when its place is forgotten, in microseconds
--           buried  zset, owner -> until when it is refused, in microseconds
--         lock and record of each simple step (of those with "r" the lock alone, if ARGV says so),
--         then (if ARGV says so) the other four of each simple step but those with "a" or "p", then
--         all six of each key of the other steps.
-- ARGV    1 how long an unused fence is remembered, in milliseconds
--         2 restart guard: a server that has been up for less grants nothing new; 0: off
--         3 how many bytes of a lock's name stand before its key, 4 how many behind it
--         5 the number of simple steps, which are on different keys and come first
--         6 how many locks and records of simple steps there are, 7 "1": and their other keys
--         8 the number of this call among its sender's that may grant; 0: it may not
--         then the simple steps in runs, a run being a letter, the number of its steps, the ttl
--         that they share, and for each step a claim in one word: owner, line feed, 1, attempt
--           a acquire   (1 of 1, without a place in the queue) and the label behind the attempt
--           p acquire   as a; after the ttl comes the fence that all of the run propose: pN:W
--           n renew
--           r release   (no ttl; without min_hold and tombstone)
--         then for each other key the number of its steps, and for each of them the letter of its
--         operation and the arguments:
--           A acquire   owner attempt label units limit ttl window stamp inbox fence
--                       (fence: empty: one is minted, pN:W: at least N, which counts as no farther
--                       than W from the clock; cN: it is N)
--           N renew     owner attempt ttl
--           R release   owner attempt min_hold tombstone (-1: none)
--           P pass      owner attempt min_hold tombstone ahead (1 or 0), then as A
--           W withdraw  owner attempt tombstone
--           T transfer  owner attempt next_owner next_attempt label ttl
--           F force     up_to
--           H raise     owner attempt fence
--           S steal     as A
--           I inspect
-- answer  for each step a list: the name of the reply and its values. In short, for simple steps:
--         0 done, a fence: granted, -1: ask again with all keys, since its lock does not say all
-- atomic  because a look and the write that rests on it must not be parted; a release grants the
--         next waiter in the same step
--
-- Times are microseconds of this server's clock. A mutex without queue and tombstones is its lock
-- alone, whose value says everything: owner, line feed, layout 1, attempt (16 hex digits), label;
-- fence, since and expires (16 digits each). It leaves nothing behind: the fences of all such locks come from
-- one number, which only grows. A request that arrives again, late, is known by its number, and
-- carries out nothing.
--
-- What needs more has a record, and then the lock's value is the owner alone. A record begins with
-- the layout's number. "1S": a mutex without queue and tombstones; fence, since and expires as
-- three doubles, then the last holder's owner, a line feed, layout 1, attempt and label. It holds
-- as long as its owner is the lock's. "1Q": the same with a queue; behind the three doubles
-- two more, how many wait and how many ever came. "1G": everything else, packed.
--
-- What every command and every word costs is the cost of a lock, so: simple steps come first and
-- do without the machine; they are looked up with one MGET and released with one DEL; a release
-- that finds a queue hands the lock on with as few commands as there can be; numbers go to
-- commands as text, since the server would format each anew.

local LATE_MS = '600000'
local call, ask, pack, unpack_from = redis.call, redis.pcall, struct.pack, struct.unpack
local sub, find, format = string.sub, string.find, string.format
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local retention, guard = tonumber(ARGV[1]), tonumber(ARGV[2])
local simple, looked_up, with_others = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local with_records, at = looked_up == 2 * simple, 9
-- A call that may grant has two keys of its own in front of all others.
local base = ARGV[8] ~= '0' and 2 or 0
local first, others = base + 1, base + looked_up + 1
-- Without simple steps the first key of the others stands next, and is looked up as well.
local known = simple > 0 and others - 1 or math.min(others + 1, #KEYS)
local found = known > 0 and call('MGET', unpack(KEYS, 1, known)) or {}
if base > 0 and found[2] and tonumber(found[2]) >= tonumber(ARGV[8]) then
  return redis.error_reply('LATE a later call of the same sender was carried out before this one')
end
-- The largest fence of any lock that says everything itself, and the fence of a lease that begins
-- in this call.
local floor = base > 0 and tonumber(found[1] or 0) or 0
local fence_before, fence_now = floor, math.max(floor + 1, now)

-- A time in milliseconds, as commands want it: at least one.
local function ms(micros)
  return math.max(1, math.ceil(micros / 1000))
end

-- A whole number as text. The server would write it out as a fraction, which costs more.
local function digits(number)
  return format('%d', number)
end

-- What a new fence is at least: the clock, or a proposal that is not too far from it.
local function least_by(rule)
  local proposed, within = string.match(rule or '', '^p(%d+):(%d+)$')
  if not proposed then return now end
  return math.max(now - within, math.min(tonumber(proposed), now + within))
end

-- The fence of a new lease for which one is proposed, if nothing stands in its way that the
-- machine should look at. It has a record, which keeps the key's own last fence: that of other
-- proposed keys must not part this server from the others of its quorum. A key without a record
-- may have had any fence up to the floor.
local function take_proposed(first, claim, ttl, rule)
  local record, fence = found[first + 1], math.max(floor + 1, least_by(rule))
  if found[first] or guard > 0 then return end
  if record then
    if sub(record, 1, 2) ~= '1S' then return end
    fence = math.max(unpack_from('>d', record, 3) + 1, fence)
  end
  local px, owner = ms(tonumber(ttl)), sub(claim, 1, find(claim, '\n', 1, true) - 1)
  local written = ask('SET', KEYS[first], owner, 'PX', digits(px), 'NX')
  if not written or written.err then return end
  local text = '1S' .. pack('>ddd', fence, now, now + ttl) .. claim
  call('SET', KEYS[first + 1], text, 'PX', digits(px + retention))
  return fence
end

-- Alone it is done here: a quorum waits for it, and all that follows would take it as long again
-- to set up.
if simple == 1 and with_records and ARGV[at] == 'p' and not ARGV[at + 5] then
  local fence = take_proposed(first, ARGV[at + 4], ARGV[at + 2], ARGV[at + 3])
  if fence then
    call('SET', KEYS[2], ARGV[8], 'PX', LATE_MS)
    return { fence }
  end
end

-- Tells a waiter of its grant. Without the right to publish it looks by itself.
local function announce(lock_key, place, fence)
  local key = sub(lock_key, tonumber(ARGV[3]) + 1, -tonumber(ARGV[4]) - 1)
  local line = { place[2], digits(fence), place[8], place[1], key }
  redis.pcall('PUBLISH', place[7], table.concat(line, '\n'))
end

-- What a lock that says everything itself says: a holder, as the machine has it.
local CLAIM = '^([^\n]*)\n(%d)(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)(.*)'
local NUMBER = '(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)'
local function lock_of(value)
  local owner, layout, attempt, label, fence, since, expires =
    string.match(value, CLAIM .. NUMBER .. NUMBER .. NUMBER .. '$')
  if layout ~= '1' then return nil, layout end
  return { owner, attempt, label, 1, tonumber(fence), tonumber(since), tonumber(expires) }
end

local function machine()
  local LAYOUT = '1'
  local TOMBSTONE_MIN = 60000000
  local FOREIGN_LOOK = 100000
  local NEAR = 16
  local MANY = 1000

  -- The key in hand: its names, the lock's value, its record, whether the record has changed, and
  -- whether what has expired is forgotten.
  local lock_key, record_key, queue_key, places_key, alive_key, buried_key
  local lock, record, dirty, is_purged
  -- Whether the lock says everything itself.
  local is_whole
  -- Its places as far as they are known, `false` for none; the waiters whose place is yet to be
  -- written; and, if many ask for theirs, who stands where.
  local places, unwritten, ranks


  local function id_of(owner, attempt)
    return attempt .. ':' .. owner
  end

  -- Writes, or answers why memory pressure forbids it to this step. Whatever else forbids it (a
  -- replica, a full disk) concerns the whole call, and ends it.
  local function try_write(...)
    local written = redis.pcall(...)
    local refused = type(written) == 'table' and written.err
    if refused and not string.find(refused, 'OOM', 1, true) then return redis.call(...) end
    return written
  end

  local function set_lock(owner, expires, only_if_free)
    is_whole = false
    local px = digits(ms(expires - now))
    if only_if_free then
      return try_write('SET', lock_key, owner, 'PX', px, 'NX')
    end
    return redis.call('SET', lock_key, owner, 'PX', px)
  end

  local function mutex()
    return record.limit == 1
  end

  -- Whether somebody who is not Tenure holds the lock.
  local function foreign()
    return lock and not (mutex() and record.holders[1])
  end

  -- How long the restart guard holds yet: a server that came back empty may have forgotten a
  -- lease that its holder still trusts.
  local guarded
  local function asleep()
    if guard == 0 then return 0 end
    if not guarded then
      local up = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
      -- Whole seconds from one second's beginning to another's: up to one is not over yet.
      guarded = math.max(0, guard - (tonumber(up) - 1) * 1000000)
    end
    return guarded
  end

  local function used()
    local sum = 0
    for _, holder in ipairs(record.holders) do sum = sum + holder[4] end
    return sum
  end

  local function find(owner, attempt)
    for index, holder in ipairs(record.holders) do
      if holder[1] == owner and holder[2] == attempt then return index end
    end
  end

  local function remove_holder(index)
    table.remove(record.holders, index)
    dirty = true
    if mutex() and lock then
      redis.call('DEL', lock_key)
      lock = false
    end
  end

  local function extend(holder, ttl)
    if now + ttl > holder[7] then
      holder[7] = now + ttl
      dirty = true
      if mutex() then redis.call('PEXPIRE', lock_key, digits(ms(ttl))) end
    end
  end

  local function mint(rule)
    dirty = true
    local carried = tonumber(string.match(rule or '', '^c(%d+)$'))
    if carried then
      record.fence = math.max(record.fence, carried)
      return carried
    end
    record.fence = math.max(record.fence + 1, least_by(rule))
    return record.fence
  end

  local function bury(owner, attempt, span)
    local id, till = id_of(owner, attempt), now + span
    local old = record.buried > now and redis.call('ZSCORE', buried_key, id)
    if not old or tonumber(old) < till then
      redis.call('ZADD', buried_key, digits(till), id)
    end
    if till > record.buried then
      record.buried = till
      redis.call('PEXPIRE', buried_key, digits(ms(span)))
    end
    dirty = true
  end

  local function is_buried(owner, attempt)
    if record.buried <= now then return false end
    local till = redis.call('ZSCORE', buried_key, id_of(owner, attempt))
    return till and tonumber(till) > now
  end

  local function read_places(ids)
    local unread = {}
    for _, id in ipairs(ids) do
      if places[id] == nil and #unread < MANY then unread[#unread + 1] = id end
    end
    if not unread[1] then return end
    for index, place in ipairs(redis.call('HMGET', places_key, unpack(unread))) do
      places[unread[index]] = place and cmsgpack.unpack(place)
    end
  end

  local function place_of(id)
    if places[id] == nil then read_places({ id }) end
    return places[id]
  end

  -- Writes what was put off. It begins with a write that needs no memory, so that who waits
  -- already keeps its place under memory pressure.
  local function write_places()
    local packed, alive, px = {}, {}, 10000
    for _, id in ipairs(unwritten) do
      local place = places[id]
      if place then
        packed[#packed + 1], packed[#packed + 2] = id, cmsgpack.pack(place)
        alive[#alive + 1], alive[#alive + 2] = digits(place[9]), id
        -- At least as long as the longest window, so that no live place expires with its key.
        px = math.max(px, ms(place[9] - now))
      end
    end
    unwritten = {}
    if not packed[1] then return end
    redis.call('PEXPIRE', queue_key, digits(px))
    redis.call('HSET', places_key, unpack(packed))
    redis.call('PEXPIRE', places_key, digits(px))
    redis.call('ZADD', alive_key, unpack(alive))
    redis.call('PEXPIRE', alive_key, digits(px))
  end

  local function put_place(id, place)
    places[id] = place
    unwritten[#unwritten + 1] = id
    if #unwritten == MANY then write_places() end
  end

  -- How many stand before a waiter.
  local function rank_of(id)
    return ranks and ranks[id] or redis.call('ZRANK', queue_key, id)
  end

  -- Reads at once what many steps are going to ask for one by one.
  local function read_ahead(letters, arguments)
    if #letters < NEAR or record.waiting == 0 then return end
    local ids = {}
    for index, letter in ipairs(letters) do
      local args = arguments[index]
      if letter == 'A' then ids[#ids + 1] = id_of(args[1], args[2]) end
    end
    read_places(ids)
    if record.waiting > 4 * #ids then return end
    ranks = {}
    for index, id in ipairs(redis.call('ZRANGE', queue_key, '0', '-1')) do ranks[id] = index - 1 end
  end

  local function remove_place(id)
    redis.call('ZREM', queue_key, id)
    redis.call('HDEL', places_key, id)
    redis.call('ZREM', alive_key, id)
    record.waiting = redis.call('ZCARD', queue_key)
    places[id], ranks, dirty = false, nil, true
  end

  local function purge()
    for index = #record.holders, 1, -1 do
      local holder = record.holders[index]
      -- Whoever deletes the lock, or puts another value there, has ended the lease.
      local taken_away = mutex() and lock ~= holder[1]
      if taken_away then
        table.remove(record.holders, index)
        dirty = true
      elseif holder[7] <= now then
        remove_holder(index)
      end
    end
    if record.waiting > 0 then
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', alive_key, '-inf', digits(now))) do
        remove_place(id)
      end
      -- The queue's keys can expire as a whole, when nobody has shown a sign of life.
      local waiting = redis.call('ZCARD', queue_key)
      if waiting ~= record.waiting then
        record.waiting = waiting
        dirty = true
      end
    end
    if record.buried > 0 then
      if record.buried <= now then
        record.buried = 0
        dirty = true
      end
      redis.call('ZREMRANGEBYSCORE', buried_key, '-inf', digits(now))
    end
  end

  local function add_holder(place, expires, rule)
    local fence = mint(rule)
    local owner, attempt, label, units = place[1], place[2], place[3], place[4]
    table.insert(record.holders, { owner, attempt, label, units, fence, now, expires })
    if mutex() then lock = owner end
    return fence
  end

  local function grant_from_queue()
    while record.waiting > 0 and used() < record.limit and not foreign() and asleep() == 0 do
      local id = redis.call('ZRANGE', queue_key, '0', '0')[1]
      local place = place_of(id)
      if used() + place[4] > record.limit then return end
      local expires = now + place[5]
      if mutex() then set_lock(place[1], expires) end
      remove_place(id)
      local fence = add_holder(place, expires)
      if place[7] ~= '' then announce(lock_key, place, fence) end
    end
  end

  -- After what time a claim of `units` behind the first `ahead` places is free if nobody does
  -- anything until then. Far back in a long queue the answer is "at the next heartbeat".
  local function look_in(units, limit, ahead, window)
    if foreign() then
      local left = redis.call('PTTL', lock_key) * 1000
      if ahead > 0 then return window end
      return math.max(1000, math.min(left, FOREIGN_LOOK))
    end
    if ahead > NEAR then return window end
    if asleep() > 0 then return asleep() end
    local ends, sum = {}, 0
    for _, holder in ipairs(record.holders) do
      ends[#ends + 1] = { holder[7], holder[4] }
    end
    if ahead > 0 then
      local ids = redis.call('ZRANGE', queue_key, '0', digits(ahead - 1))
      read_places(ids)
      for _, id in ipairs(ids) do
        local place = places[id]
        if place then ends[#ends + 1] = { place[9], place[4] } end
      end
    end
    table.sort(ends, function(one, other) return one[1] < other[1] end)
    for _, part in ipairs(ends) do sum = sum + part[2] end
    for _, part in ipairs(ends) do
      sum = sum - part[2]
      if sum + units <= limit then return math.max(0, part[1] - now) end
    end
    return 0
  end

  local function blocker()
    local holder = record.holders[1]
    if holder then return holder[3], now - holder[6] end
    if foreign() then return 'a holder that is not Tenure', 0 end
    if asleep() > 0 then return 'the restart guard of the server', guard - asleep() end
    return '', -1
  end

  local function other_limit(limit)
    return { 'mismatch', format(
      'it is in use with a limit of %d, and a limit of %d was asked for', record.limit, limit) }
  end

  -- What stands under the lock's name, if it can be no lock; `nil` if it can.
  local function not_a_lock()
    local kind = redis.call('TYPE', lock_key).ok
    if kind == 'none' then return nil end
    if kind ~= 'string' then
      return 'the key holds a ' .. kind .. ' of somebody else; choose another key'
    end
    if redis.call('PTTL', lock_key) == -1 then
      return 'the key holds a string without a ttl, which would stay for ever; it is no lock of '
        .. 'Tenure: delete it, or choose another key'
    end
  end

  local function acquire(a)
    local owner, attempt, label = a[1], a[2], a[3]
    local units, limit, ttl = tonumber(a[4]), tonumber(a[5]), tonumber(a[6])
    local window, stamp, inbox = tonumber(a[7]), tonumber(a[8]), a[9]
    if is_buried(owner, attempt) then return { 'withdrawn' } end
    if guard > 0 and ttl > guard then
      return { 'mismatch', format(
        'a ttl of %.0f ms is longer than the restart guard of %.0f ms', ttl / 1000, guard / 1000) }
    end
    local index = find(owner, attempt)
    if index then
      extend(record.holders[index], ttl)
      return { 'granted', record.holders[index][5] }
    end
    if #record.holders > 0 or record.waiting > 0 then
      if record.limit ~= limit then return other_limit(limit) end
    elseif not lock then
      record.limit = limit
    elseif limit ~= 1 then
      return { 'mismatch', 'the key is held by another library as a lock of one holder' }
    else
      record.limit = 1
    end
    local id = id_of(owner, attempt)
    local mine = record.waiting > 0 and place_of(id)
    if not mine and record.waiting == 0 and not foreign() and asleep() == 0
      and used() + units <= limit then
      local written = { ok = 'OK' }
      if mutex() then
        written = set_lock(owner, now + ttl, true)
      elseif #record.holders == 0 then
        local reason = not_a_lock()
        if reason then return { 'mismatch', reason } end
      end
      if written and written.err then return { 'failed', written.err } end
      if not written then return { 'mismatch', not_a_lock() or 'the key is in use' } end
      return { 'granted', add_holder({ owner, attempt, label, units }, now + ttl, a[10]) }
    end
    if foreign() then
      local reason = not_a_lock()
      if reason then return { 'mismatch', reason } end
    end
    if window == 0 then
      local ahead = mine and rank_of(id) or record.waiting
      return { 'busy', look_in(units, limit, ahead, FOREIGN_LOOK), blocker() }
    end
    if not mine then
      for _, holder in ipairs(record.holders) do
        -- What is left of a `min_hold` is nobody's any more and ends by itself.
        if holder[1] == owner and not is_buried(owner, holder[2]) then return { 'self_held' } end
      end
    end
    local since, ahead = now, record.waiting
    if mine then
      ahead, since, stamp = rank_of(id), mine[6], math.max(stamp, mine[8])
    else
      record.arrivals = record.arrivals + 1
      local written = try_write('ZADD', queue_key, digits(record.arrivals), id)
      if type(written) == 'table' and written.err then return { 'failed', written.err } end
      record.waiting = record.waiting + 1
      dirty = true
    end
    put_place(id, {
      owner, attempt, label, units, math.min(window, ttl), since, inbox, stamp, now + window,
    })
    return { 'queued', ahead, look_in(units, limit, ahead, window), blocker() }
  end

  local function renew(a)
    local owner, attempt, ttl = a[1], a[2], tonumber(a[3])
    if is_buried(owner, attempt) then return { 'withdrawn' } end
    local index = find(owner, attempt)
    if not index then return { 'gone' } end
    extend(record.holders[index], ttl)
    return { 'renewed' }
  end

  local function raise(a)
    local owner, attempt = a[1], a[2]
    if is_buried(owner, attempt) then return { 'withdrawn' } end
    local index = find(owner, attempt)
    if not index then return { 'gone' } end
    record.fence = math.max(record.fence, tonumber(a[3]))
    record.holders[index][5] = record.fence
    dirty = true
    return { 'renewed' }
  end

  local function give_back(owner, attempt, min_hold, tombstone)
    local id = id_of(owner, attempt)
    local reply
    local index = find(owner, attempt)
    if record.waiting > 0 and redis.call('ZSCORE', queue_key, id) then
      remove_place(id)
      reply = { 'released' }
    elseif index then
      local holder = record.holders[index]
      local till = holder[6] + min_hold
      if till > now then
        holder[7] = till
        dirty = true
        if mutex() then redis.call('PEXPIRE', lock_key, digits(ms(till - now))) end
        tombstone = math.max(tombstone, till - now, TOMBSTONE_MIN)
      else
        remove_holder(index)
      end
      reply = { 'released' }
    elseif #record.holders > 0 or foreign() then
      reply = { 'others' }
    else
      reply = { 'gone' }
    end
    -- Last, since it is refused under memory pressure unless something was written before.
    if tombstone >= 0 then bury(owner, attempt, tombstone) end
    return reply
  end

  local function release(a)
    return give_back(a[1], a[2], tonumber(a[3]), tonumber(a[4]))
  end

  -- A release and an acquire in one step. Ahead of the line only for an owner that gives up what
  -- it holds; what it grants then is pushed to nobody, since the answer says it.
  local function pass(a)
    local owner, attempt, min_hold, ahead = a[1], a[2], tonumber(a[3]), a[5] == '1'
    local to = { unpack(a, 6) }
    local next_owner, next_attempt, label = to[1], to[2], to[3]
    local units, limit, lease = tonumber(to[4]), tonumber(to[5]), tonumber(to[6])
    local itself = owner == next_owner and attempt == next_attempt
    local index = find(owner, attempt)
    ahead = ahead and not itself and index and record.holders[index][6] + min_hold <= now
      and not is_buried(owner, attempt)
    local released = release(a)
    local is_free = not foreign() and asleep() == 0 and (guard == 0 or lease <= guard)
      and (#record.holders == 0 and record.waiting == 0 or record.limit == limit)
    if ahead and is_free and used() + units <= limit and not find(next_owner, next_attempt)
      and not is_buried(next_owner, next_attempt) then
      local id = id_of(next_owner, next_attempt)
      if record.waiting > 0 and redis.call('ZSCORE', queue_key, id) then
        -- No shorter than what its place would have brought it.
        lease = math.max(lease, place_of(id)[5])
        remove_place(id)
      end
      record.limit = limit
      if mutex() then set_lock(next_owner, now + lease) end
      add_holder({ next_owner, next_attempt, label, units }, now + lease, to[10])
    end
    grant_from_queue()
    -- Granted above or not: an acquire answers either way. To oneself it would grant anew
    -- whenever it is repeated.
    return { 'passed', released, itself and { 'withdrawn' } or acquire(to) }
  end

  local function withdraw(a)
    return give_back(a[1], a[2], 0, tonumber(a[3]))
  end

  local function transfer(a)
    local owner, attempt, next_owner, next_attempt = a[1], a[2], a[3], a[4]
    local label, ttl = a[5], tonumber(a[6])
    if is_buried(next_owner, next_attempt) then return { 'withdrawn' } end
    local index = find(next_owner, next_attempt)
    if index then
      extend(record.holders[index], ttl)
      return { 'transferred', record.holders[index][5] }
    end
    index = not is_buried(owner, attempt) and find(owner, attempt)
    if not index then return { 'gone' } end
    local holder = record.holders[index]
    holder[1], holder[2], holder[3] = next_owner, next_attempt, label
    holder[7] = math.max(holder[7], now + ttl)
    dirty = true
    if mutex() then
      set_lock(next_owner, holder[7])
      lock = next_owner
    end
    local waiting = record.waiting > 0 and id_of(next_owner, next_attempt)
    if waiting and redis.call('ZSCORE', queue_key, waiting) then remove_place(waiting) end
    bury(owner, attempt, math.max(ttl, TOMBSTONE_MIN))
    return { 'transferred', holder[5] }
  end

  local function force(a)
    local up_to, count = tonumber(a[1]), 0
    if foreign() then
      redis.call('DEL', lock_key)
      lock, count = false, 1
    end
    for index = #record.holders, 1, -1 do
      local holder = record.holders[index]
      if holder[5] <= up_to then
        remove_holder(index)
        -- Its heartbeat or repeated acquire may still be under way.
        bury(holder[1], holder[2], math.max(holder[7] - now, TOMBSTONE_MIN))
        count = count + 1
      end
    end
    return { 'forced', count }
  end

  local function steal(a)
    local owner, attempt, label = a[1], a[2], a[3]
    local units, limit, ttl = tonumber(a[4]), tonumber(a[5]), tonumber(a[6])
    if is_buried(owner, attempt) then return { 'withdrawn' } end
    local index = find(owner, attempt)
    if index then
      extend(record.holders[index], ttl)
      return { 'granted', record.holders[index][5] }
    end
    if record.waiting > 0 and record.limit ~= limit then return other_limit(limit) end
    local reason = lock == false and not_a_lock()
    if reason then return { 'mismatch', reason } end
    force({ record.fence })
    record.limit = limit
    if record.waiting > 0 and redis.call('ZSCORE', queue_key, id_of(owner, attempt)) then
      remove_place(id_of(owner, attempt))
    end
    if mutex() then set_lock(owner, now + ttl) end
    return { 'granted', add_holder({ owner, attempt, label, units }, now + ttl, a[10]) }
  end

  -- Looks, and writes nothing; what has expired is left out.
  local function inspect()
    local holders, waiters = {}, {}
    for _, h in ipairs(record.holders) do
      if h[7] > now and (not mutex() or lock == h[1]) then
        table.insert(holders, { h[1], h[2], h[3], h[4], h[5], now - h[6], h[7] - now })
      end
    end
    if record.waiting > 0 then
      for _, id in ipairs(redis.call('ZRANGE', queue_key, 0, -1)) do
        local place = place_of(id)
        if place and place[9] > now then
          table.insert(waiters, { place[3], place[4], now - place[6] })
        end
      end
    end
    local state, about = 'free', ''
    if #holders > 0 then
      state = 'held'
    else
      local kind = redis.call('TYPE', lock_key).ok
      local ours = mutex() and record.holders[1] and lock == record.holders[1][1]
      if kind ~= 'none' and not ours then
        state = 'foreign'
        about = not_a_lock() or 'held by another library (its value is not an owner of Tenure)'
      end
    end
    local limit = (#holders > 0 or #waiters > 0) and record.limit or 0
    return { 'inspected', state, about, limit, record.fence, holders, waiters }
  end

  local OPS = {
    A = acquire, N = renew, R = release, P = pass, W = withdraw, T = transfer, F = force,
    H = raise,
    S = steal,
  }

  local function load(lock_value, text, seen)
    if not text then
      return {
        layout = LAYOUT, fence = seen and seen[5] or 0, limit = 1,
        holders = { seen }, waiting = 0, arrivals = 0, buried = 0,
      }
    end
    local form = string.sub(text, 1, 2)
    if form == LAYOUT .. 'G' then return cmsgpack.unpack(string.sub(text, 3)) end
    local waiting, arrivals, tail = 0, 0, 27
    if form == LAYOUT .. 'Q' then
      waiting, arrivals, tail = struct.unpack('>dd', text, 27)
    elseif form ~= LAYOUT .. 'S' then
      return nil
    end
    local fence, since, expires = struct.unpack('>ddd', text, 3)
    local owner, _, attempt, label = string.match(text, CLAIM, tail)
    local holders = {}
    if lock_value and (lock_value == owner or seen and seen[1] == owner) then
      holders[1] = { owner, attempt, label, 1, fence, since, expires }
    end
    return {
      fence = fence, limit = 1, holders = holders, waiting = waiting, arrivals = arrivals,
      buried = 0,
    }
  end

  local function save()
    local px, text = retention, nil
    for _, each in ipairs(record.holders) do
      px = math.max(px, ms(each[7] - now) + retention)
    end
    local holder = record.holders[1]
    -- The short forms have one fence for both, the key's and the holder's.
    local one_fence = not holder or holder[5] == record.fence
    if mutex() and record.buried == 0 and one_fence then
      holder = holder or { '', string.rep('0', 16), '', 1, record.fence, 0, 0 }
      local form, queue = 'S', ''
      if record.waiting > 0 then
        form, queue = 'Q', struct.pack('>dd', record.waiting, record.arrivals)
      end
      text = LAYOUT .. form .. struct.pack('>ddd', record.fence, holder[6], holder[7]) .. queue
        .. holder[1] .. '\n1' .. holder[2] .. holder[3]
    else
      text = LAYOUT .. 'G' .. cmsgpack.pack(record)
    end
    local written = try_write('SET', record_key, text, 'PX', digits(px))
    -- Whoever finds a lock that says everything need not look for a record.
    if is_whole and holder and lock == holder[1] and not written.err then
      set_lock(lock, holder[7])
    end
    return written
  end

  local function carry_out(letter, args)
    if letter == 'I' then return inspect() end
    local was_dirty, was_fence = dirty, record.fence
    dirty = false
    -- The record may be of a step that did not know the fences of locks without one.
    if not record.holders[1] then record.fence = math.max(record.fence, fence_before) end
    if not is_purged then
      -- Time stands still during a call: nothing expires between two steps.
      purge()
      grant_from_queue()
      is_purged = true
    end
    local reply = OPS[letter](args)
    grant_from_queue()
    if not dirty then record.fence = was_fence end
    dirty = dirty or was_dirty
    return reply
  end

  -- Carries out steps of one key, whose record is read and written once for all of them. `first`
  -- is where its lock and record stand in KEYS, `others` where the rest does.
  return function(first, others, lock_value, text, letters, arguments)
    lock_key, record_key = KEYS[first], KEYS[first + 1]
    queue_key, places_key = KEYS[others], KEYS[others + 1]
    alive_key, buried_key = KEYS[others + 2], KEYS[others + 3]
    local seen, layout
    if lock_value then seen, layout = lock_of(lock_value) end
    lock, dirty, is_purged = seen and seen[1] or lock_value, false, false
    is_whole = seen ~= nil
    record = not layout and load(lock_value, text, seen)
    places, unwritten, ranks = {}, {}, nil
    if record then read_ahead(letters, arguments) end
    local replies = {}
    for index, letter in ipairs(letters) do
      if record then
        replies[index] = carry_out(letter, arguments[index])
      else
        replies[index] = {
          'mismatch', 'it has a layout that this program does not know ('
            .. format('%q', layout or sub(text, 1, 2)) .. '); use one version of Tenure',
        }
      end
    end
    write_places()
    local written = dirty and save()
    if written and written.err then
      -- Refused under memory pressure if nothing was written before. A lease that ended is found
      -- out again by the next step; one that begins must not be without its record.
      for _, reply in ipairs(replies) do
        local won = reply[1] == 'passed' and reply[3] or reply
        if won[1] == 'granted' then won[1], won[2] = 'failed', written.err end
      end
    end
    return replies
  end
end

local general
local replies, gone, heads = {}, {}, {}

-- What records of this moment begin with, what locks of it end with, and how long both live. Most
-- steps of a call have the same ttl.
local function head_of(ttl)
  local micros = tonumber(ttl)
  local px = ms(micros)
  return {
    stamp = format('%016d%016d%016d', fence_now, now, now + micros),
    expires = now + micros,
    lock_px = digits(px),
    record_px = digits(px + retention),
  }
end

-- The fence of a new lease, if nothing stands in its way that the machine should look at.
local function take(first, claim, head)
  local record, fence, stamp = found[first + 1], fence_now, head.stamp
  if found[first] or guard > 0 then return end
  if record then
    if sub(record, 1, 2) ~= '1S' then return end
    local last_fence = unpack_from('>d', record, 3)
    if last_fence >= fence then
      fence = last_fence + 1
      stamp = format('%016d%016d%016d', fence, now, head.expires)
    end
  end
  local written = ask('SET', KEYS[first], claim .. stamp, 'PX', head.lock_px, 'NX')
  if not written or written.err then return end
  if record then gone[#gone + 1] = KEYS[first + 1] end
  if fence > floor then floor = fence end
  return fence
end

-- Whether the lease is the claim's: when it ends, and if it has a record, where its tail begins.
-- A lock that says everything has none.
local function held(first, claim, has_record)
  local lock, record = found[first], has_record and found[first + 1]
  if not lock then return end
  local is_whole = find(lock, claim, 1, true) == 1
  if not record then
    local expires = is_whole and tonumber(sub(lock, -16))
    if expires and expires > now then return expires end
    return
  end
  if not is_whole and sub(claim, 1, -19) ~= lock then return end
  local form = sub(record, 1, 2)
  local tail = form == '1S' and 27 or form == '1Q' and 43
  if not tail or find(record, claim, tail, true) ~= tail then return end
  local expires = unpack_from('>d', record, 19)
  if expires > now then return expires, tail end
end

-- Lets a lease last longer; never shorter.
local function lengthen(first, head, expires)
  if head.expires <= expires then return end
  local lock, record = found[first], found[first + 1]
  if record then
    record = sub(record, 1, 18) .. pack('>d', head.expires) .. sub(record, 27)
    call('PEXPIRE', KEYS[first], head.lock_px)
    call('SET', KEYS[first + 1], record, 'PX', head.record_px)
  else
    lock = sub(lock, 1, -17) .. format('%016d', head.expires)
    local written = ask('SET', KEYS[first], lock, 'PX', head.lock_px)
    if written.err then
      -- Under memory pressure a script may write what it likes once it has written something.
      call('PEXPIRE', KEYS[first], head.lock_px)
      call('SET', KEYS[first], lock, 'PX', head.lock_px)
    end
  end
end

-- Takes a waiter out of the line.
local function leave_line(rest, id)
  call('HDEL', KEYS[rest + 1], id)
  call('ZREM', KEYS[rest + 2], id)
  call('ZREM', KEYS[rest], id)
end

-- Gives the lock of the record to another, with so many still in line; answers the fence.
local function pass_to(first, record, fence, waiting, owner, attempt, label, span)
  local px, expires = ms(span), now + span
  local form, queue = '1S', ''
  if waiting > 0 then
    local _, arrivals = unpack_from('>dd', record, 27)
    form, queue = '1Q', pack('>dd', waiting, arrivals)
  end
  fence = math.max(fence + 1, now)
  record = form .. pack('>ddd', fence, now, expires) .. queue .. owner .. '\n1' .. attempt .. label
  call('SET', KEYS[first], owner, 'PX', digits(px))
  call('SET', KEYS[first + 1], record, 'PX', digits(px + retention))
  return fence
end

-- Gives the lock from its holder to the first of the queue that is alive.
local function hand_on(first, rest)
  local record = found[first + 1]
  local fence, _, expires = unpack_from('>ddd', record, 3)
  local waiting = unpack_from('>d', record, 27)
  local id = call('ZRANGE', KEYS[rest], '0', '0')[1]
  while id do
    local place = call('HGET', KEYS[rest + 1], id)
    leave_line(rest, id)
    place, waiting = place and cmsgpack.unpack(place), waiting - 1
    if place and place[9] > now then
      fence = pass_to(first, record, fence, waiting, place[1], place[2], place[3], place[5])
      if place[7] ~= '' then announce(KEYS[first], place, fence) end
      return
    end
    id = call('ZRANGE', KEYS[rest], '0', '0')[1]
  end
  -- Nobody is left. The record goes on as that of a lock without a queue.
  local px = digits(ms(expires - now) + retention)
  call('DEL', KEYS[first])
  call('SET', KEYS[first + 1], '1S' .. sub(record, 3, 26) .. sub(record, 43), 'PX', px)
end

-- What the machine answers to a pass ahead of the line, where nothing stands in its way that the
-- machine should look at: a mutex with a record, given back on the spot.
local function pass_on(first, args)
  local owner, attempt, next_owner, next_attempt = args[1], args[2], args[6], args[7]
  local is_plain = guard == 0 and args[3] == '0' and args[4] == '-1' and args[5] == '1'
    and args[9] == '1' and args[10] == '1' and args[15] == ''
  if not is_plain or (owner == next_owner and attempt == next_attempt) then return end
  local _, tail = held(first, owner .. '\n1' .. attempt, true)
  if not tail then return end
  local record, id = found[first + 1], next_attempt .. ':' .. next_owner
  local fence, since = unpack_from('>dd', record, 3)
  if since > now then return end
  local waiting, span = 0, tonumber(args[11])
  local place = tail == 43 and call('HGET', KEYS[first + 3], id)
  if tail == 43 then waiting = unpack_from('>d', record, 27) end
  if place then
    place, waiting = cmsgpack.unpack(place), waiting - 1
    if place[9] <= now then return end
    leave_line(first + 2, id)
    -- No shorter than what its place would have brought it.
    span = math.max(span, place[5])
  else
    -- A write that needs no memory comes first: the rest must not be refused for want of it.
    call('DEL', KEYS[first])
  end
  fence = pass_to(first, record, fence, waiting, next_owner, next_attempt, args[8], span)
  return { { 'passed', { 'released' }, { 'granted', fence } } }
end

-- What the machine says to a simple step, or that it must be asked again with all keys.
local function in_full(first, rest, letter, args)
  local lock, record = found[first], found[first + 1]
  local is_plain = not record or sub(record, 1, 2) == '1S'
  if letter == 'A' then
    if not is_plain then return -1 end
    rest = #KEYS + 1
  elseif not with_others then
    return -1
  end
  general = general or machine()
  return general(first, rest, lock, record, { letter }, { args })[1]
end

local number = 1
while number <= simple do
  local letter, last = ARGV[at], number + ARGV[at + 1] - 1
  local ttl, head = ARGV[at + 2], nil
  at = at + 2
  local rule = ''
  if letter == 'p' then
    rule, at = ARGV[at + 1], at + 2
  elseif letter ~= 'r' then
    head = heads[ttl] or head_of(ttl)
    heads[ttl] = head
    at = at + 1
  end
  for each = number, last do
    local reply
    if letter == 'a' or letter == 'p' then
      local claim = ARGV[at]
      if letter == 'a' then
        reply = take(first, claim, head)
      else
        reply = take_proposed(first, claim, ttl, rule)
      end
      if not reply then
        local owner, _, attempt, label = string.match(claim, CLAIM)
        local args = { owner, attempt, label, 1, 1, ttl, 0, 0, '', rule }
        reply = in_full(first, nil, 'A', args)
      end
      first = first + 2
    else
      local claim = ARGV[at]
      local has_record = with_records or letter == 'n'
      local expires, tail = held(first, claim, has_record)
      local has_queue = tail == 43
      if not expires or (letter == 'r' and has_queue and not (with_others and guard == 0)) then
        local owner, attempt = sub(claim, 1, -19), sub(claim, -16)
        if letter == 'r' then
          reply = in_full(first, others, 'R', { owner, attempt, 0, -1 })
        else
          reply = in_full(first, others, 'N', { owner, attempt, ttl })
        end
      else
        reply = 0
        if letter == 'n' then
          lengthen(first, head, expires)
        elseif has_queue then
          hand_on(first, others)
        else
          gone[#gone + 1] = KEYS[first]
        end
      end
      first = first + (has_record and 2 or 1)
      if with_others then others = others + 4 end
    end
    replies[each], at = reply, at + 1
  end
  number = last + 1
end
if gone[1] then call('DEL', unpack(gone)) end

local COUNTS = { A = 10, N = 3, R = 4, P = 15, W = 3, T = 6, F = 1, H = 3, S = 10, I = 0 }
while at <= #ARGV do
  local letters, arguments = {}, {}
  local last = tonumber(ARGV[at])
  at = at + 1
  for each = 1, last do
    local letter, args = ARGV[at], {}
    for index = 1, COUNTS[letter] do args[index] = ARGV[at + index] end
    letters[each], arguments[each] = letter, args
    at = at + 1 + COUNTS[letter]
  end
  if found[others] == nil then
    local both = call('MGET', KEYS[others], KEYS[others + 1])
    found[others], found[others + 1] = both[1], both[2]
  end
  local done = last == 1 and letters[1] == 'P' and pass_on(others, arguments[1])
  if not done then
    general = general or machine()
    done = general(others, others + 2, found[others], found[others + 1], letters, arguments)
  end
  for _, reply in ipairs(done) do replies[#replies + 1] = reply end
  others = others + 6
end
if base > 0 then
  -- Refused under memory pressure only if nothing was written, and so nothing granted.
  ask('SET', KEYS[2], ARGV[8], 'PX', LATE_MS)
  if floor > fence_before then ask('SET', KEYS[1], digits(floor), 'PX', ARGV[1]) end
end
return replies
