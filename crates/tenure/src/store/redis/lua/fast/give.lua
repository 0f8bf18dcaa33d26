-- Gives a lock from its holder to `next_claim`, with so many still in the queue.
--
-- needs   preface, layout, prelude
-- takes   first, record, fence, waiting, lease, next_owner, next_claim
local lease_px = math.max(1, math.ceil(lease / 1000))
local lock, lock_key, lock_px = next_owner, KEYS[first], format('%d', lease_px)
local next_form, line = SINGLE, ''
if waiting > 0 then
  local _, arrivals = struct.unpack(LINE, record, LINE_AT)
  next_form, line = QUEUED, struct.pack(LINE, waiting, arrivals)
end
fence = math.max(fence + 1, now)
-- include fast/overwrite
record = next_form .. struct.pack(LEASE, fence, now, now + lease) .. line .. next_claim
call('SET', KEYS[first + 1], record, 'PX', format('%d', lease_px + retention))
