-- Carries out steps of keys: the transitions of `logic::Resource`, each as one atomic step.
--
-- KEYS    six for each step, all in one hash slot:
--           1 lock    string, the holder's owner value; what other libraries use. Claim 1 of 1
--           2 record  string: what else is known, see below
--           3 queue   zset, waiter -> order of arrival
--           4 places  hash, waiter -> packed place
--           5 alive   zset, waiter -> when its place is forgotten, in microseconds
--           6 buried  zset, owner -> until when it is refused, in microseconds
-- ARGV    1 how long an unused record is remembered, in milliseconds
--         2 restart guard: a server that has been up for less grants nothing new; 0: off
--         then for each step the letter of its operation, the key's name and the arguments:
--           A acquire   owner attempt label units limit ttl window stamp inbox
--           N renew     owner attempt ttl
--           R release   owner attempt min_hold tombstone (-1: none)
--           W withdraw  owner attempt tombstone
--           T transfer  owner attempt next_owner next_attempt label ttl
--           F force     up_to
--           S steal     as A
--           I inspect
-- answer  for each step a list: the name of the reply and its values
-- atomic  because a look and the write that rests on it must not be parted; a release grants the
--         next waiter in the same step
--
-- Times are microseconds of this server's clock. A record begins with the layout's number.
-- "1S": a mutex without queue and tombstones; fence, since and expires as three doubles, then the
-- last holder's attempt, owner and label, with line feeds between. It holds as long as its owner
-- is the lock's value. "1G": everything else, packed.
--
-- The simple case comes first and defines nothing, since a definition costs as much as a command.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local retention, guard = tonumber(ARGV[1]), tonumber(ARGV[2])

local function machine()
  local LAYOUT = '1'
  local TOMBSTONE_MIN = 60000000
  local FOREIGN_LOOK = 100000
  local NEAR = 16

  -- The key in hand: its names, the lock's value, its record, and whether the record has changed.
  local lock_key, record_key, queue_key, places_key, alive_key, buried_key
  local lock, record, dirty

  local function ms(micros)
    return math.ceil(micros / 1000)
  end

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
    local px = math.max(1, ms(expires - now))
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
      if mutex() then redis.call('PEXPIRE', lock_key, math.max(1, ms(ttl))) end
    end
  end

  local function mint()
    record.fence = math.max(record.fence + 1, now)
    dirty = true
    return record.fence
  end

  local function bury(owner, attempt, span)
    local id, till = id_of(owner, attempt), now + span
    local old = record.buried > now and redis.call('ZSCORE', buried_key, id)
    if not old or tonumber(old) < till then
      redis.call('ZADD', buried_key, string.format('%.0f', till), id)
    end
    if till > record.buried then
      record.buried = till
      redis.call('PEXPIRE', buried_key, ms(span))
    end
    dirty = true
  end

  local function is_buried(owner, attempt)
    if record.buried <= now then return false end
    local till = redis.call('ZSCORE', buried_key, id_of(owner, attempt))
    return till and tonumber(till) > now
  end

  local function remove_place(id)
    redis.call('ZREM', queue_key, id)
    redis.call('HDEL', places_key, id)
    redis.call('ZREM', alive_key, id)
    record.waiting = redis.call('ZCARD', queue_key)
    dirty = true
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
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', alive_key, '-inf', now)) do
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
      redis.call('ZREMRANGEBYSCORE', buried_key, '-inf', now)
    end
  end

  local function add_holder(place, expires)
    local fence = mint()
    local owner, attempt, label, units = place[1], place[2], place[3], place[4]
    table.insert(record.holders, { owner, attempt, label, units, fence, now, expires })
    if mutex() then lock = owner end
    return fence
  end

  local function grant_from_queue(name)
    while record.waiting > 0 and not foreign() and asleep() == 0 do
      local id = redis.call('ZRANGE', queue_key, 0, 0)[1]
      local place = cmsgpack.unpack(redis.call('HGET', places_key, id))
      if used() + place[4] > record.limit then return end
      local expires = now + place[5]
      if mutex() then set_lock(place[1], expires) end
      remove_place(id)
      local fence = add_holder(place, expires)
      if place[7] ~= '' then
        local line = { place[2], string.format('%.0f', fence), place[8], place[1], name }
        -- Without the right to publish the waiter looks by itself.
        redis.pcall('PUBLISH', place[7], table.concat(line, '\n'))
      end
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
      for _, id in ipairs(redis.call('ZRANGE', queue_key, 0, ahead - 1)) do
        local place = cmsgpack.unpack(redis.call('HGET', places_key, id))
        ends[#ends + 1] = { tonumber(redis.call('ZSCORE', alive_key, id)), place[4] }
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
    return { 'mismatch', string.format(
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

  local function acquire(name, a)
    local owner, attempt, label = a[1], a[2], a[3]
    local units, limit, ttl = tonumber(a[4]), tonumber(a[5]), tonumber(a[6])
    local window, stamp, inbox = tonumber(a[7]), tonumber(a[8]), a[9]
    if is_buried(owner, attempt) then return { 'withdrawn' } end
    if guard > 0 and ttl > guard then
      return { 'mismatch', string.format(
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
    local mine = record.waiting > 0 and redis.call('ZSCORE', queue_key, id)
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
      return { 'granted', add_holder({ owner, attempt, label, units }, now + ttl) }
    end
    if foreign() then
      local reason = not_a_lock()
      if reason then return { 'mismatch', reason } end
    end
    if window == 0 then
      local ahead = mine and redis.call('ZRANK', queue_key, id) or record.waiting
      return { 'busy', look_in(units, limit, ahead, FOREIGN_LOOK), blocker() }
    end
    if not mine then
      for _, holder in ipairs(record.holders) do
        -- What is left of a `min_hold` is nobody's any more and ends by itself.
        if holder[1] == owner and not is_buried(owner, holder[2]) then return { 'self_held' } end
      end
    end
    local since = now
    if mine then
      local place = cmsgpack.unpack(redis.call('HGET', places_key, id))
      since, stamp = place[6], math.max(stamp, place[8])
    else
      record.arrivals = record.arrivals + 1
      local written = try_write('ZADD', queue_key, record.arrivals, id)
      if type(written) == 'table' and written.err then return { 'failed', written.err } end
      record.waiting = record.waiting + 1
      dirty = true
    end
    local place = { owner, attempt, label, units, math.min(window, ttl), since, inbox, stamp }
    redis.call('HSET', places_key, id, cmsgpack.pack(place))
    redis.call('ZADD', alive_key, string.format('%.0f', now + window), id)
    for _, key in ipairs({ queue_key, places_key, alive_key }) do
      -- At least as long as the longest window, so that no live place expires with its key.
      redis.call('PEXPIRE', key, math.max(ms(window), 10000))
    end
    local ahead = redis.call('ZRANK', queue_key, id)
    return { 'queued', ahead, look_in(units, limit, ahead, window), blocker() }
  end

  local function renew(_, a)
    local owner, attempt, ttl = a[1], a[2], tonumber(a[3])
    if is_buried(owner, attempt) then return { 'withdrawn' } end
    local index = find(owner, attempt)
    if not index then return { 'gone' } end
    extend(record.holders[index], ttl)
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
        if mutex() then redis.call('PEXPIRE', lock_key, math.max(1, ms(till - now))) end
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

  local function release(_, a)
    return give_back(a[1], a[2], tonumber(a[3]), tonumber(a[4]))
  end

  local function withdraw(_, a)
    return give_back(a[1], a[2], 0, tonumber(a[3]))
  end

  local function transfer(_, a)
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

  local function force(_, a)
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

  local function steal(_, a)
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
    force(nil, { record.fence })
    record.limit = limit
    if record.waiting > 0 and redis.call('ZSCORE', queue_key, id_of(owner, attempt)) then
      remove_place(id_of(owner, attempt))
    end
    if mutex() then set_lock(owner, now + ttl) end
    return { 'granted', add_holder({ owner, attempt, label, units }, now + ttl) }
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
        local alive = tonumber(redis.call('ZSCORE', alive_key, id))
        local place = redis.call('HGET', places_key, id)
        if alive and alive > now and place then
          place = cmsgpack.unpack(place)
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
    A = acquire, N = renew, R = release, W = withdraw, T = transfer, F = force, S = steal,
  }

  local function load(lock_value, text)
    if not text then
      return {
        layout = LAYOUT, fence = 0, limit = 1, holders = {}, waiting = 0, arrivals = 0, buried = 0,
      }
    end
    local form = string.sub(text, 1, 2)
    if form == LAYOUT .. 'G' then return cmsgpack.unpack(string.sub(text, 3)) end
    if form ~= LAYOUT .. 'S' then return nil end
    local fence, since, expires = struct.unpack('>ddd', text, 3)
    local attempt, owner, label = string.match(text, '^(.-)\n(.-)\n(.*)$', 27)
    local holders = {}
    if lock_value == owner then
      holders[1] = { owner, attempt, label, 1, fence, since, expires }
    end
    return { fence = fence, limit = 1, holders = holders, waiting = 0, arrivals = 0, buried = 0 }
  end

  local function save()
    local holder = record.holders[1]
    local px, text = retention, nil
    for _, each in ipairs(record.holders) do
      px = math.max(px, ms(each[7] - now) + retention)
    end
    if mutex() and record.waiting == 0 and record.buried == 0 then
      holder = holder or { '', '', '', 1, record.fence, 0, 0 }
      text = LAYOUT .. 'S' .. struct.pack('>ddd', record.fence, holder[6], holder[7])
        .. holder[2] .. '\n' .. holder[1] .. '\n' .. holder[3]
    else
      text = LAYOUT .. 'G' .. cmsgpack.pack(record)
    end
    return try_write('SET', record_key, text, 'PX', px)
  end

  return function(base, letter, args, lock_value, text)
    lock_key, record_key, queue_key = KEYS[base + 1], KEYS[base + 2], KEYS[base + 3]
    places_key, alive_key, buried_key = KEYS[base + 4], KEYS[base + 5], KEYS[base + 6]
    lock, dirty, record = lock_value, false, load(lock_value, text)
    if not record then
      return { 'mismatch', 'its record has a layout that this program does not know ('
        .. string.format('%q', string.sub(text, 1, 2)) .. '); use one version of Tenure' }
    end
    if letter == 'I' then return inspect() end
    purge()
    grant_from_queue(args.name)
    local reply = OPS[letter](args.name, args)
    grant_from_queue(args.name)
    if dirty then
      local written = save()
      -- Refused under memory pressure if nothing was written before. A lease that ended is found
      -- out again by the next step; one that begins must not be without its record.
      if written.err and reply[1] == 'granted' then return { 'failed', written.err } end
    end
    return reply
  end
end

local general
local replies, at, number = {}, 3, 0
while at <= #ARGV do
  local base, letter = number * 6, ARGV[at]
  local owner, attempt = ARGV[at + 2], ARGV[at + 3]
  local both = redis.call('MGET', KEYS[base + 1], KEYS[base + 2])
  local lock, record, count = both[1], both[2], 0
  local simple, reply = not record or string.sub(record, 1, 2) == '1S', nil
  if letter == 'A' then
    count = 9
    -- A request of the last holder that was under way when it released: its lease would still
    -- run, and is over. (Every owner is used once.)
    local ghost = simple and record and not lock and string.sub(record, 27, 27 + #attempt)
      == attempt .. '\n' and select(3, struct.unpack('>ddd', record, 3)) > now
    if ghost then
      reply = { 'withdrawn' }
    elseif simple and not lock and guard == 0 and ARGV[at + 6] == '1' then
      local ttl = tonumber(ARGV[at + 7])
      local px = math.max(1, math.ceil(ttl / 1000))
      local written = redis.pcall('SET', KEYS[base + 1], owner, 'PX', px, 'NX')
      if written and written.ok then
        local fence = record and math.max(struct.unpack('>d', record, 3) + 1, now) or now
        record = '1S' .. struct.pack('>ddd', fence, now, now + ttl) .. attempt .. '\n' .. owner
          .. '\n' .. ARGV[at + 4]
        redis.call('SET', KEYS[base + 2], record, 'PX', px + retention)
        reply = { 'granted', fence }
      end
    end
  elseif letter == 'R' or letter == 'N' then
    count = letter == 'R' and 4 or 3
    local mine = attempt .. '\n'
    if simple and record and lock == owner and string.sub(record, 27, 26 + #mine) == mine then
      local fence, since, expires = struct.unpack('>ddd', record, 3)
      if expires <= now then
        reply = nil
      elseif letter == 'N' then
        local ttl = tonumber(ARGV[at + 4])
        if now + ttl > expires then
          local px = math.max(1, math.ceil(ttl / 1000))
          redis.call('PEXPIRE', KEYS[base + 1], px)
          record = '1S' .. struct.pack('>ddd', fence, since, now + ttl) .. string.sub(record, 27)
          redis.call('SET', KEYS[base + 2], record, 'PX', px + retention)
        end
        reply = { 'renewed' }
      elseif ARGV[at + 4] == '0' and ARGV[at + 5] == '-1' then
        redis.call('DEL', KEYS[base + 1])
        reply = { 'released' }
      end
    end
  elseif letter == 'S' then
    count = 9
  elseif letter == 'T' then
    count = 6
  elseif letter == 'W' then
    count = 3
  elseif letter == 'F' then
    count = 1
  end
  if not reply then
    general = general or machine()
    local args = { name = ARGV[at + 1] }
    for index = 1, count do args[index] = ARGV[at + 1 + index] end
    reply = general(base, letter, args, lock, record)
  end
  number = number + 1
  replies[number] = reply
  at = at + 2 + count
end
return replies
