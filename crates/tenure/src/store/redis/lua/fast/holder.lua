-- A release, a renewal or a handoff of a mutex, by its holder: any other is left to the machine. So
-- is all that is damaged, and then nothing was written.
--
-- needs   preface, fast, layout, marker, prelude, steps
-- gives   fence, form, waiting, arrivals

-- The holder's lease, and whether its lock is plain; the record's form, and how many wait.
local fence, expires, is_plain, form, waiting, arrivals, _ = nil, nil, false, nil, 0, 0, nil
-- include clock
if lock and not record then
  expires = find(lock, claim, 1, true) == 1 and tonumber(sub(lock, LOCK_EXPIRES_AT))
  fence = expires and letter == 'h' and tonumber(sub(lock, NUMBERS_AT, SINCE_AT - 1))
elseif lock and (lock == sub(claim, 1, OWNER_END) or find(lock, claim, 1, true) == 1) then
  form = sub(record, 1, 2)
  local claim_at = form == SINGLE and SINGLE_CLAIM_AT or form == QUEUED and QUEUED_CLAIM_AT
  if claim_at and find(record, claim, claim_at, true) == claim_at then
    fence, _, expires = struct.unpack(LEASE, record, LEASE_AT)
    is_plain = expires == 0
    if is_plain then expires = now + 1000 * call('PTTL', KEYS[first]) end
    if form == QUEUED then waiting, arrivals = struct.unpack(LINE, record, LINE_AT) end
  end
end
if not expires or expires <= now then
  -- The machine says why not.
elseif letter == 'n' then
  -- It lets a lease last longer; never shorter.
  local till, written = now + ttl, nil
  if till <= expires then
    reply = nil
  elseif record then
    record = sub(record, 1, EXPIRES_AT - 1) .. struct.pack(DOUBLE, is_plain and 0 or till)
      .. sub(record, LEASE_END + 1)
    written = ask('PEXPIRE', KEYS[first], px_text) == 1
      and ask('SET', KEYS[first + 1], record, 'PX', format('%d', px + retention))
  else
    lock = sub(lock, 1, LOCK_EXPIRES_AT - 1) .. format(NUMBER, till)
    written = ask('SET', KEYS[first], lock, 'PX', px_text)
  end
  -- Without memory for it the machine finds a way.
  if written and not written.err then reply = nil end
elseif letter == 'r' and form == SINGLE then
  -- The record stays: it keeps the key's last fence. Of a plain lock it names nobody, so that a
  -- later string with the same value is not taken for it.
  local written = is_plain and ask(
    'SET', KEYS[first + 1], SINGLE .. struct.pack(LEASE, fence, 0, 0) .. NOBODY, 'PX', retention
  )
  if not (written and written.err) then
    gone, reply = gone or {}, nil
    gone[#gone + 1] = KEYS[first]
  end
elseif not is_guarded and (beside > 0 or form ~= QUEUED) then
  -- include fast/give
end
