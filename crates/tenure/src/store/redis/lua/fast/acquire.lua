-- An acquire of a mutex. Mostly the lock says everything, so a record that kept the key's last fence
-- goes. A plain lock has a record, and so has one with a proposal, which keeps the key's own last
-- fence: that of other proposed keys must not part this server from the others of its quorum. A key
-- without a record may have had any fence up to the floor.
--
-- needs   preface, fast, fences, layout, marker, prelude, steps
local is_kept = record and sub(record, 1, 2) == SINGLE and #record > LEASE_END
if is_guarded then
  -- Nothing is granted, and the machine says what is known.
elseif not lock and (is_kept or not record) then
  local fence, value, has_record = fence_now, nil, letter == 'p' or letter == 'o'
  local last_fence = is_kept and struct.unpack(DOUBLE, record, LEASE_AT) or 0
  if has_record then
    -- include proposal
    fence = math.max(floor + 1, last_fence + 1, least_by(letter == 'p' and proposal))
    value = sub(claim, 1, find(claim, '\n', 1, true) - 1)
  elseif last_fence < fence then
    value = claim .. numbers
  else
    fence = last_fence + 1
    value = claim .. format(NUMBERS, fence, now, now + ttl)
  end
  -- The machine says why it cannot be, as with a fence that cannot grow.
  local written = fence <= LAST and ask('SET', KEYS[first], value, 'PX', px_text, 'NX')
  if written and not written.err then
    reply = fence
    if has_record then
      record = SINGLE .. struct.pack(LEASE, fence, now, letter == 'p' and now + ttl or 0) .. claim
      call('SET', KEYS[first + 1], record, 'PX', format('%d', px + retention))
    else
      if fence > floor then floor = fence end
      if record then
        gone = gone or {}
        gone[#gone + 1] = KEYS[first + 1]
      end
    end
  end
elseif lock then
  -- Another one holds it, and nobody waits.
  local owner, label, since, expires, attempt, _
  if not record then
    -- include lock
    local holder = read_lock(lock)
    if holder then
      owner, label, since, expires = holder.owner, holder.label, holder.since, holder.expires
    end
  elseif is_kept then
    _, since, expires = struct.unpack(LEASE, record, LEASE_AT)
    if expires == 0 then expires = now + 1000 * call('PTTL', KEYS[first]) end
    owner, _, attempt, label = string.match(record, CLAIM, SINGLE_CLAIM_AT)
    if owner ~= lock then owner = nil end
  end
  if owner and expires > now and find(claim, owner .. '\n', 1, true) ~= 1 then
    reply = { 'busy', expires - now, label, math.max(0, now - since) }
  end
end
