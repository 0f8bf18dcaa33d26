-- Short ways: what most steps come to, with as few commands as there can be. Whatever they do not
-- know they leave to the machine.
local general
local replies, heads = {}, {}

-- Lets a lease last longer; never shorter.
local function lengthen(first, head, expires)
  if head.expires <= expires then return end
  local lock, record = found[first], found[first + 1]
  if record then
    record = sub(record, 1, 18) .. pack('>d', head.expires) .. sub(record, 27)
    call('PEXPIRE', KEYS[first], head.lock_px)
    call('SET', KEYS[first + 1], record, 'PX', digits(head.px + retention))
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

-- What the machine answers to a pass ahead of the line, where nothing stands in its way that the
-- machine should look at: a mutex with a record, given back on the spot.
local function pass_on(first, args)
  local owner, attempt, next_owner, next_attempt = args[1], args[2], args[6], args[7]
  local is_plain = not is_guarded and args[3] == '0' and args[4] == '-1' and args[5] == '1'
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
