-- A look at the keys of a group before any of them is taken. If one of them cannot be had, those
-- before it are passed over, and it alone is asked for, which says why. Otherwise all are taken:
-- nothing that this looks at can change before that.
--
-- needs   fast, layout, marker, prelude, steps
local count, place, is_free = ARGV[at] + 0, 0, not is_guarded
at = at + 1
while is_free and place < count do
  local key_at = first + 2 * place
  local kept = found[key_at + 1]
  -- The record may keep the key's last fence. A lock of another type is not found.
  is_free = not found[key_at] and call('TYPE', KEYS[key_at]).ok == 'none'
    and (not kept or sub(kept, 1, 2) == SINGLE and #kept > LEASE_END
      and struct.unpack(DOUBLE, kept, LEASE_AT) < LAST)
  place = place + 1
end
group = { is_free = is_free, fences = {}, last = nth + count }
if not is_free then
  place = math.max(0, place - 1)
  nth, at, first = nth + place, at + place, first + 2 * place
  group.place = place + 1
  lock, record = found[first], found[first + 1]
end
