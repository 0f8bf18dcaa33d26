-- Whether the lease is the claim's: when it ends and, if it has a record, where the claim stands in
-- that, and the record's form.
--
-- needs   fast, layout, prelude
-- gives   expires, form
local expires, claim_at, form
if lock and not record then
  expires = find(lock, claim, 1, true) == 1 and tonumber(sub(lock, LOCK_EXPIRES_AT))
elseif lock and (lock == sub(claim, 1, OWNER_END) or find(lock, claim, 1, true) == 1) then
  form = sub(record, 1, 2)
  claim_at = form == SINGLE and SINGLE_CLAIM_AT or form == QUEUED and QUEUED_CLAIM_AT
  if claim_at and find(record, claim, claim_at, true) == claim_at then
    expires = struct.unpack(DOUBLE, record, EXPIRES_AT)
  end
end
