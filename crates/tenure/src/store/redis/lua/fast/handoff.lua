-- A handoff of a mutex. It can come late, when the next one has a place: the lock would go to that
-- place, and so to nobody, once more. So the place goes, and the lease is no shorter than what it
-- would have brought.
--
-- needs   fast, fast/held, layout, marker, prelude, steps
local next_claim = ARGV[at]
at = at + 1
local is_next = not is_guarded and (has_others or form ~= QUEUED)
  and find(next_claim, claim, 1, true) ~= 1
if expires and expires > now and is_next then
  local next_owner = sub(next_claim, 1, find(next_claim, '\n', 1, true) - 1)
  local fence, waiting, lease, place = nil, 0, ttl, false
  if record then
    fence = struct.unpack(DOUBLE, record, LEASE_AT)
  else
    fence = tonumber(sub(lock, NUMBERS_AT, SINCE_AT - 1))
  end
  if form == QUEUED then
    local id = sub(next_claim, #next_owner + 3, #next_owner + 18) .. ':' .. next_owner
    waiting, place = struct.unpack(LINE, record, LINE_AT), ask('HGET', KEYS[others + 1], id)
    if place then
      -- include place
      local is_read, read = pcall(read_place, place)
      local lives_till, span = is_read and tonumber(read.expires), is_read and tonumber(read.lease)
      -- The machine must look at a place that is damaged, dead or not in the queue.
      if lives_till and span and lives_till > now and ask('ZREM', KEYS[others], id) == 1 then
        call('HDEL', KEYS[others + 1], id)
        ask('ZREM', KEYS[others + 2], id)
        waiting, lease, place = waiting - 1, math.max(lease, span), false
      end
    end
  end
  -- A lock without numbers is not ours, which the machine says.
  if fence and not place then
    -- include fast/give
    reply = fence
  end
end
