-- Gives a lock on: a release to the first of the queue that is alive, a handoff to the next that it
-- names. A handoff can come late, when the next one has a place: the lock would go to that place,
-- and so to nobody, once more. So the place goes, and the lease is no shorter than what it would
-- have brought.
--
-- needs   preface, fast, fast/holder, layout, prelude, steps
local lease, place, id, packed, push, next_owner = ttl, nil, nil, nil, nil, nil
if letter == 'h' then
  next_owner = sub(next_claim, 1, find(next_claim, '\n', 1, true) - 1)
  if form == QUEUED then
    id = sub(next_claim, #next_owner + 3, #next_owner + 18) .. ':' .. next_owner
    packed = ask('HGET', KEYS[others + 1], id)
  end
  -- A lock without numbers is not ours. To itself nobody hands off.
  if not fence or find(next_claim, claim, 1, true) == 1 then next_claim = nil end
end
if packed or letter == 'r' then
  -- include place
  local function read_living(text)
    local read = read_place(text)
    read.claim = read.owner .. '\n' .. LAYOUT .. read.attempt .. read.label
    return read.expires > now and read.lease > 0 and read
  end
  local is_read
  if packed then
    is_read, place = pcall(read_living, packed)
    if is_read and place and ask('ZREM', KEYS[others], id) == 1 then
      call('HDEL', KEYS[others + 1], id)
      ask('ZREM', KEYS[others + 2], id)
      waiting, lease = waiting - 1, math.max(lease, place.lease)
    else
      -- The machine must look at a place that is damaged, dead or not in the queue.
      next_claim = nil
    end
  else
    next_claim, push = nil, announce
    repeat
      local first_place = ask('ZPOPMIN', KEYS[others])
      id = first_place[1]
      if not id then break end
      packed = ask('HGET', KEYS[others + 1], id)
      is_read, place = pcall(read_living, packed)
      local removed = is_read and place and place.value or ask('ZREM', KEYS[others + 2], id)
      if packed and packed.err or removed ~= 1 and removed ~= 0 then
        -- The waiters' keys are damaged, or the lease begins with a value, which the machine keeps.
        -- This waiter must not be lost for it.
        call('ZADD', KEYS[others], first_place[2], id)
        break
      end
      call('HDEL', KEYS[others + 1], id)
      waiting = waiting - 1
      if is_read and place then
        next_claim, next_owner, lease = place.claim, place.owner, place.lease
      end
    until next_claim
  end
end
local lease_px = next_claim and math.max(1, math.ceil(lease / 1000))
local written = next_claim and ask('SET', KEYS[first], next_owner, 'PX', format('%d', lease_px))
if written and not written.err then
  local next_form, line = SINGLE, ''
  if waiting > 0 then next_form, line = QUEUED, struct.pack(LINE, waiting, arrivals) end
  local ends = place and place.is_plain and 0 or now + lease
  fence = math.max(fence + 1, now)
  record = next_form .. struct.pack(LEASE, fence, now, ends) .. line .. next_claim
  call('SET', KEYS[first + 1], record, 'PX', format('%d', lease_px + retention))
  if push then push(KEYS[first], place, fence) end
  reply = letter == 'h' and fence or nil
end
