-- An acquire of a mutex for which a quorum proposes the fence. It has a record, which keeps the
-- key's own last fence: that of other proposed keys must not part this server from the others of
-- its quorum. A key without a record may have had any fence up to the floor.
--
-- needs   preface, fast, fences, layout, marker, prelude, steps
local is_kept = record and sub(record, 1, 2) == SINGLE and #record > LEASE_END
if not lock and not is_guarded and (is_kept or not record) then
  -- include proposal
  local fence = math.max(floor + 1, least_by(proposal))
  if is_kept then fence = math.max(struct.unpack(DOUBLE, record, LEASE_AT) + 1, fence) end
  local owner = sub(claim, 1, find(claim, '\n', 1, true) - 1)
  local written = ask('SET', KEYS[first], owner, 'PX', px_text, 'NX')
  if written and not written.err then
    record = SINGLE .. struct.pack(LEASE, fence, now, now + ttl) .. claim
    call('SET', KEYS[first + 1], record, 'PX', format('%d', px + retention))
    reply = fence
  end
elseif lock and not is_guarded then
  -- include fast/busy
end
