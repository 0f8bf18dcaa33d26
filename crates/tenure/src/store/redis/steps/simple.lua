-- Short ways: what most steps come to, with as few commands as there can be. Whatever they do not
-- know they leave to the machine.
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
  local fence = unpack_from('>d', record, 3)
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
