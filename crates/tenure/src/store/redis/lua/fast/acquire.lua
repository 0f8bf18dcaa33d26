-- An acquire of a mutex. The lock says everything, so a record that kept the key's last fence goes.
--
-- needs   fast, fences, layout, marker, prelude, steps
local is_kept = record and sub(record, 1, 2) == SINGLE and #record > LEASE_END
local last_fence = is_kept and struct.unpack(DOUBLE, record, LEASE_AT)
-- A fence that cannot grow is the key's own trouble: the machine refuses.
local can_grow = not last_fence or last_fence < LAST
if not lock and not is_guarded and (is_kept or not record) and can_grow then
  local fence, value = fence_now, claim .. numbers
  if last_fence and last_fence >= fence then
    fence = last_fence + 1
    value = claim .. format(NUMBERS, fence, now, now + ttl)
  end
  local written = ask('SET', KEYS[first], value, 'PX', px_text, 'NX')
  if written and not written.err then
    if record then
      gone = gone or {}
      gone[#gone + 1] = KEYS[first + 1]
    end
    if fence > floor then floor = fence end
    reply = fence
  end
elseif lock and not is_guarded then
  -- include fast/busy
end
