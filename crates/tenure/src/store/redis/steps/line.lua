-- Tells a waiter of its grant. Without the right to publish it looks by itself.
local function announce(lock_key, place, fence)
  local key = sub(lock_key, before + 1, -behind - 1)
  local line = { place[2], digits(fence), place[8], place[1], key }
  redis.pcall('PUBLISH', place[7], table.concat(line, '\n'))
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

-- What is known of a waiter that is not in the queue any more.
local function forget_place(rest, id)
  call('HDEL', KEYS[rest + 1], id)
  call('ZREM', KEYS[rest + 2], id)
end

-- Takes a waiter out of the line.
local function leave_line(rest, id)
  call('ZREM', KEYS[rest], id)
  forget_place(rest, id)
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
  local id = call('ZPOPMIN', KEYS[rest])[1]
  while id do
    local place = call('HGET', KEYS[rest + 1], id)
    forget_place(rest, id)
    place, waiting = place and cmsgpack.unpack(place), waiting - 1
    if place and place[9] > now then
      fence = pass_to(first, record, fence, waiting, place[1], place[2], place[3], place[5])
      if place[7] ~= '' then announce(KEYS[first], place, fence) end
      return
    end
    id = call('ZPOPMIN', KEYS[rest])[1]
  end
  -- Nobody is left. The record goes on as that of a lock without a queue.
  local px = digits(ms(expires - now) + retention)
  call('DEL', KEYS[first])
  call('SET', KEYS[first + 1], '1S' .. sub(record, 3, 26) .. sub(record, 43), 'PX', px)
end

