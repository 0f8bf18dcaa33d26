-- The way of a pass that goes ahead of the line to one who has no place in it: a mutex with a record
-- changes hands, and whoever stands in line stands there as before. What is not so is left to the
-- machine; nothing is written then. A pass can come late, after a heartbeat that brought the next
-- one a place: its lock would go to that place, and so to nobody, once more.
-- `queue` is the name of the line, if it is known.
local function pass_ahead(first, queue, claim, next_claim, ttl)
  local lock, record = found[first], found[first + 1]
  if not record or is_guarded then return end
  local form = sub(record, 1, 2)
  local tail = form == '1Q' and 43 or form == '1S' and 27
  if not tail or sub(claim, 1, -19) ~= lock or find(record, claim, tail, true) ~= tail then return end
  local fence, _, expires = unpack_from('>ddd', record, 3)
  if expires <= now or find(next_claim, claim, 1, true) == 1 then return end
  local px, owner = ms(ttl), sub(next_claim, 1, find(next_claim, '\n', 1, true) - 1)
  if tail == 43 then
    local id = sub(next_claim, #owner + 3, #owner + 18) .. ':' .. owner
    if not queue or call('ZSCORE', queue, id) then return end
  end
  local lock_px = digits(px)
  fence = math.max(fence + 1, now)
  -- How many wait and how many ever came stays as it is.
  record = form .. pack('>ddd', fence, now, now + ttl) .. sub(record, 27, tail - 1) .. next_claim
  if ask('SET', KEYS[first], owner, 'PX', lock_px).err then
    -- Under memory pressure a script may write what it likes once it has written something.
    call('DEL', KEYS[first])
    call('SET', KEYS[first], owner, 'PX', lock_px)
  end
  call('SET', KEYS[first + 1], record, 'PX', digits(px + retention))
  return fence
end

