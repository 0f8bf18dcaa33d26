-- Gives a lock to the first of the queue that is alive.
--
-- needs   preface, fast, layout, prelude, steps
-- gives   first, others, record, expires
-- include place
function grant_next(first, others, record, expires)
  local waiting = struct.unpack(LINE, record, LINE_AT)
  local id = call('ZPOPMIN', KEYS[others])[1]
  while id do
    local packed = call('HGET', KEYS[others + 1], id)
    call('HDEL', KEYS[others + 1], id)
    call('ZREM', KEYS[others + 2], id)
    waiting = waiting - 1
    local place = packed and read_place(packed)
    if place and place.expires > now then
      local next_owner, lease = place.owner, place.lease
      local next_claim = next_owner .. '\n' .. LAYOUT .. place.attempt .. place.label
      local fence = struct.unpack(DOUBLE, record, LEASE_AT)
      -- include fast/give
      announce(KEYS[first], place, fence)
      return
    end
    id = call('ZPOPMIN', KEYS[others])[1]
  end
  -- Nobody is left. The record goes on as that of a lock without a queue.
  record = SINGLE .. sub(record, LEASE_AT, LEASE_END) .. sub(record, QUEUED_CLAIM_AT)
  local px = math.max(1, math.ceil((expires - now) / 1000))
  call('SET', KEYS[first + 1], record, 'PX', format('%d', px + retention))
  gone = gone or {}
  gone[#gone + 1] = KEYS[first]
end
