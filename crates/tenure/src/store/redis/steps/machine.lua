-- The machine of one key: every operation, whatever the key has. It is set up only for steps that
-- need it.
local function machine()
  local LAYOUT = '1'
  local TOMBSTONE_MIN = 60000000
  local FOREIGN_LOOK = 100000
  local NEAR = 16
  local MANY = 1000
  -- In place of the time for which one has held: nobody does, the restart guard is in the way.
  local GUARDED = -2

  -- The key in hand: its names, the lock's value, its record, whether the record has changed, and
  -- whether what has expired is forgotten.
  local lock_key, record_key, queue_key, places_key, alive_key, buried_key
  local lock, record, dirty, is_purged
  -- Whether the lock says everything itself; and whether a step of this call keeps or ends a lease,
  -- which memory pressure must not forbid.
  local is_whole, keeps
  -- Its places as far as they are known, `false` for none; the waiters whose place is yet to be
  -- written; and, if many ask for theirs, who stands where.
  local places, unwritten, ranks

  -- How long ago that was. The clock can have been set back since.
  local function age(moment)
    return math.max(0, now - moment)
  end

  local function id_of(owner, attempt)
    return attempt .. ':' .. owner
  end

  -- Under memory pressure a script may write what it likes once it has written something. This
  -- changes nothing and needs no memory.
  local function make_room(zset)
    redis.call('ZREM', zset, '')
  end

  local function set_lock(owner, expires)
    is_whole = false
    redis.call('SET', lock_key, owner, 'PX', digits(ms(expires - now)))
  end

  -- Writes nothing, and answers so, where anything stands under the lock's name.
  local function set_free_lock(owner, expires)
    is_whole = false
    return redis.call('SET', lock_key, owner, 'PX', digits(ms(expires - now)), 'NX')
  end

  local function mutex()
    return record.limit == 1
  end

  -- Whether the lock is this holder's. Its key ends with its lease, within a millisecond or two. A
  -- value that is the same and stays longer is somebody else's lock.
  local KEY_SLACK_MS = 2
  local function is_lock_of(holder)
    if lock ~= holder[1] then return false end
    if holder[7] > now then return true end
    local left = redis.call('PTTL', lock_key)
    return left >= 0 and left <= KEY_SLACK_MS
  end

  -- Whether somebody who is not Tenure holds the lock.
  local function foreign()
    return lock and not (mutex() and record.holders[1])
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
      if mutex() then redis.call('PEXPIRE', lock_key, digits(ms(ttl))) end
      holder[7] = now + ttl
      dirty = true
    end
  end

  -- Larger fences could not be counted on from.
  local function certain(fence)
    if fence > LAST then error('a fence of ' .. digits(fence) .. ' is too large', 0) end
    return fence
  end

  local function next_fence(rule)
    local carried = tonumber(string.match(rule or '', '^c(%d+)$'))
    return certain(carried or math.max(record.fence + 1, least_by(rule)))
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
    local packed, alive, px, ids = {}, {}, 10000, unwritten
    unwritten = {}
    for _, id in ipairs(ids) do
      local place = places[id]
      if place then
        packed[#packed + 1], packed[#packed + 2] = id, cmsgpack.pack(place)
        alive[#alive + 1], alive[#alive + 2] = digits(place[9]), id
        -- At least as long as the longest window, so that no live place expires with its key.
        px = math.max(px, ms(place[9] - now))
      end
    end
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
      local taken_away = mutex() and not is_lock_of(holder)
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

  local function add_holder(place, expires, fence)
    local owner, attempt, label, units = place[1], place[2], place[3], place[4]
    table.insert(record.holders, { owner, attempt, label, units, fence, now, expires })
    record.fence, dirty = math.max(record.fence, fence), true
    if mutex() then lock = owner end
    return fence
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

  -- Gives the lock to the head of the queue, if nothing of somebody else stands there.
  local function take_for(place, expires)
    if not mutex() then return record.holders[1] or not not_a_lock() end
    make_room(queue_key)
    return set_free_lock(place[1], expires)
  end

  local function grant_from_queue()
    while record.waiting > 0 and used() < record.limit and not foreign() and not is_guarded do
      local id = redis.call('ZRANGE', queue_key, '0', '0')[1]
      local place = id and place_of(id)
      if not id then
        record.waiting, dirty = 0, true
      elseif not place or place[9] <= now then
        -- A place can be lost, by an eviction or between two writes, and so can the moment when
        -- it dies.
        remove_place(id)
      else
        if used() + place[4] > record.limit then return end
        local expires, fence = now + place[5], next_fence()
        if not take_for(place, expires) then return end
        remove_place(id)
        add_holder(place, expires, fence)
        if place[7] ~= '' then announce(lock_key, place, fence) end
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
    -- How long the restart guard holds yet its sender knows better.
    if is_guarded and not record.holders[1] then return window end
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
    if holder then return holder[3], age(holder[6]) end
    if foreign() then return 'a holder that is not Tenure', 0 end
    return '', is_guarded and GUARDED or -1
  end

  -- What is told instead of a grant by a server that may have forgotten leases.
  local function refused_by_guard()
    return { 'busy', 0, '', GUARDED }
  end

  local function other_limit(limit)
    return { 'mismatch', format(
      'it is in use with a limit of %d, and a limit of %d was asked for', record.limit, limit) }
  end

  local function acquire(a)
    local owner, attempt, label = a[1], a[2], a[3]
    local units, limit, ttl = tonumber(a[4]), tonumber(a[5]), tonumber(a[6])
    local window, stamp, inbox = tonumber(a[7]), tonumber(a[8]), a[9]
    if is_buried(owner, attempt) then return { 'withdrawn' } end
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
    -- The queue itself can have been lost: then it stands at the end of the new one.
    local rank = mine and rank_of(id)
    if not rank then mine = false end
    if not mine and record.waiting == 0 and not foreign() and not is_guarded
      and used() + units <= limit then
      local fence = next_fence(a[10])
      if mutex() then
        if not set_free_lock(owner, now + ttl) then
          return { 'mismatch', not_a_lock() or 'the key is in use' }
        end
      elseif #record.holders == 0 then
        local reason = not_a_lock()
        if reason then return { 'mismatch', reason } end
      end
      return { 'granted', add_holder({ owner, attempt, label, units }, now + ttl, fence) }
    end
    -- Nobody holds, and still the head of the queue has nothing: is there something else?
    if foreign() or (#record.holders == 0 and not is_guarded) then
      local reason = not_a_lock()
      if reason then return { 'mismatch', reason } end
    end
    if window == 0 then
      local ahead = rank or record.waiting
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
      ahead, since, stamp = rank, mine[6], math.max(stamp, mine[8])
    else
      redis.call('ZADD', queue_key, digits(record.arrivals + 1), id)
      record.arrivals, record.waiting = record.arrivals + 1, record.waiting + 1
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
    record.fence = math.max(record.fence, certain(tonumber(a[3])))
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
      if tombstone >= 0 and not mutex() then make_room(buried_key) end
      local holder = record.holders[index]
      local till = math.min(holder[6], now) + min_hold
      if till > now then
        if mutex() then redis.call('PEXPIRE', lock_key, digits(ms(till - now))) end
        holder[7] = till
        dirty = true
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
    ahead = ahead and not itself and index and not is_buried(owner, attempt)
      and math.min(record.holders[index][6], now) + min_hold <= now
    local released = release(a)
    local is_free = not foreign() and not is_guarded
      and (#record.holders == 0 and record.waiting == 0 or record.limit == limit)
    if ahead and is_free and used() + units <= limit and not find(next_owner, next_attempt)
      and not is_buried(next_owner, next_attempt) then
      local id, fence = id_of(next_owner, next_attempt), next_fence(to[10])
      if record.waiting > 0 and redis.call('ZSCORE', queue_key, id) then
        local place = place_of(id)
        -- No shorter than what its place would have brought it.
        if place then lease = math.max(lease, place[5]) end
        remove_place(id)
      end
      record.limit = limit
      if mutex() then set_lock(next_owner, now + lease) end
      add_holder({ next_owner, next_attempt, label, units }, now + lease, fence)
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
    -- It may have been handed over before, which a server that went back in time does not know.
    if is_guarded then return refused_by_guard() end
    local waiting = record.waiting > 0 and id_of(next_owner, next_attempt)
    if waiting and redis.call('ZSCORE', queue_key, waiting) then remove_place(waiting) end
    -- Before the lock changes hands: if this is refused, nothing has changed.
    bury(owner, attempt, math.max(ttl, TOMBSTONE_MIN))
    local holder = record.holders[index]
    holder[1], holder[2], holder[3] = next_owner, next_attempt, label
    holder[7] = now + ttl
    dirty = true
    if mutex() then
      set_lock(next_owner, holder[7])
      lock = next_owner
    end
    return { 'transferred', holder[5] }
  end

  -- It reaches leases up to a fence. What another library holds has none: it may be newer than
  -- whatever was seen when this was sent.
  local function force(a)
    local up_to, count = tonumber(a[1]), 0
    for index = #record.holders, 1, -1 do
      local holder = record.holders[index]
      if holder[5] <= up_to then
        make_room(buried_key)
        -- Its heartbeat or repeated acquire may still be under way.
        bury(holder[1], holder[2], math.max(holder[7] - now, TOMBSTONE_MIN))
        remove_holder(index)
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
    if is_guarded then return refused_by_guard() end
    if record.waiting > 0 and record.limit ~= limit then return other_limit(limit) end
    local reason = (not lock or foreign()) and not_a_lock()
    if reason then return { 'mismatch', reason } end
    local fence = next_fence(a[10])
    if foreign() then
      redis.call('DEL', lock_key)
      lock = false
    end
    force({ record.fence })
    record.limit = limit
    if record.waiting > 0 and redis.call('ZSCORE', queue_key, id_of(owner, attempt)) then
      remove_place(id_of(owner, attempt))
    end
    if mutex() then set_lock(owner, now + ttl) end
    return { 'granted', add_holder({ owner, attempt, label, units }, now + ttl, fence) }
  end

  -- Looks, and writes nothing; what has expired is left out.
  local function inspect()
    local holders, waiters = {}, {}
    for _, h in ipairs(record.holders) do
      if h[7] > now and (not mutex() or lock == h[1]) then
        table.insert(holders, { h[1], h[2], h[3], h[4], h[5], age(h[6]), h[7] - now })
      end
    end
    if record.waiting > 0 then
      for _, id in ipairs(redis.call('ZRANGE', queue_key, 0, -1)) do
        local place = place_of(id)
        if place and place[9] > now then
          table.insert(waiters, { place[3], place[4], age(place[6]) })
        end
      end
    end
    local state, about = 'free', ''
    if #holders > 0 then
      state = 'held'
    else
      local kind = redis.call('TYPE', lock_key).ok
      local ours = mutex() and record.holders[1] and is_lock_of(record.holders[1])
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
    -- Without a holder the owner is empty, and so may be the value of another library's lock.
    if lock_value and owner ~= '' and (lock_value == owner or seen and seen[1] == owner) then
      holders[1] = { owner, attempt, label, 1, fence, since, expires }
    end
    return {
      fence = fence, limit = 1, holders = holders, waiting = waiting, arrivals = arrivals,
      buried = 0,
    }
  end

  local function save()
    local px, text = tonumber(retention), nil
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
    local written = redis.pcall('SET', record_key, text, 'PX', digits(px))
    if written.err and keeps then
      -- As in `make_room`.
      redis.call('PEXPIRE', record_key, digits(px))
      written = redis.pcall('SET', record_key, text, 'PX', digits(px))
    end
    if written.err then error(written, 0) end
    -- Whoever finds a lock that says everything need not look for a record.
    if is_whole and holder and lock == holder[1] then set_lock(lock, holder[7]) end
  end

  local function transition(letter, args)
    -- The record may be of a step that did not know the fences of locks without one.
    if not record.holders[1] then record.fence = math.max(record.fence, fence_before) end
    if not is_purged then
      -- Time stands still during a call: nothing expires between two steps.
      purge()
      grant_from_queue()
      is_purged = true
    end
    local was_dirty = dirty
    dirty = false
    local is_done, reply = pcall(OPS[letter], args)
    local has_changed = dirty
    -- What becomes of the next in line is not this step's.
    local is_granted, why = pcall(grant_from_queue)
    dirty = dirty or was_dirty
    if not is_done then error(reply, 0) end
    if not is_granted then failed(why) end
    return reply, has_changed
  end

  -- One step: its reply, and whether that rests on a changed record.
  local function carry_out(letter, args)
    if letter == 'I' then
      local is_done, seen = pcall(inspect)
      return is_done and seen or failed(seen), false
    end
    local was_dirty, was_fence = dirty, record.fence
    dirty = false
    local is_done, reply, has_changed = pcall(transition, letter, args)
    if not dirty then record.fence = was_fence end
    dirty = dirty or was_dirty
    if not is_done then return failed(reply), false end
    return reply, has_changed
  end

  local function fail_all(replies, is_meant, failure)
    local reply = failed(failure)
    for index, old in ipairs(replies) do
      if is_meant(index, old) then replies[index] = reply end
    end
  end

  local function is_queued(_, reply)
    return reply[1] == 'queued' or (reply[1] == 'passed' and reply[3][1] == 'queued')
  end

  local function refuse(count, reply)
    local replies = {}
    for index = 1, count do replies[index] = reply end
    return replies
  end

  -- Carries out steps of one key, whose record is read and written once for all of them. `first`
  -- is where its lock and record stand in KEYS, `others` where the rest does. Each step answers for
  -- itself; one whose outcome could not be saved has failed.
  return function(first, others, lock_value, text, letters, arguments)
    lock_key, record_key = KEYS[first], KEYS[first + 1]
    queue_key, places_key = KEYS[others], KEYS[others + 1]
    alive_key, buried_key = KEYS[others + 2], KEYS[others + 3]
    local seen, layout
    if lock_value then seen, layout = lock_of(lock_value) end
    lock, dirty, is_purged = seen and seen[1] or lock_value, false, false
    is_whole = seen ~= nil
    local is_read = true
    if not layout then is_read, record = pcall(load, lock_value, text, seen) end
    if not is_read then return refuse(#letters, failed(record)) end
    if layout or not record then
      return refuse(#letters, {
        'mismatch', 'it has a layout that this program does not know ('
          .. format('%q', layout or sub(text, 1, 2)) .. '); use one version of Tenure',
      })
    end
    places, unwritten, ranks, keeps = {}, {}, nil, false
    local replies, rests = {}, {}
    local is_near, why = pcall(read_ahead, letters, arguments)
    if not is_near then failed(why) end
    for index, letter in ipairs(letters) do
      replies[index], rests[index] = carry_out(letter, arguments[index])
      keeps = keeps or (rests[index] and letter ~= 'A' and letter ~= 'S')
      if #unwritten >= MANY or index == #letters then
        local is_done, failure = pcall(write_places)
        if not is_done then fail_all(replies, is_queued, failure) end
      end
    end
    if not dirty then return replies end
    local is_saved, failure = pcall(save)
    if not is_saved then
      -- A lease that ended is found out again by the next step. Whatever else changed is nothing.
      fail_all(replies, function(index) return rests[index] end, failure)
    end
    return replies
  end
end
