-- Another one holds the mutex, and nobody waits.
--
-- needs   fast, layout, prelude
local owner, label, since, expires, attempt, _
if not record then
  -- include lock
  local holder = read_lock(lock)
  if holder then
    owner, label, since, expires = holder.owner, holder.label, holder.since, holder.expires
  end
elseif sub(record, 1, 2) == SINGLE and #record > LEASE_END then
  _, since, expires = struct.unpack(LEASE, record, LEASE_AT)
  owner, _, attempt, label = string.match(record, CLAIM, SINGLE_CLAIM_AT)
  if owner ~= lock then owner = nil end
end
if owner and expires > now and find(claim, owner .. '\n', 1, true) ~= 1 then
  reply = { 'busy', expires - now, label, math.max(0, now - since) }
end
