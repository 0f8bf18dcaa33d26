-- A release of a mutex with a record, which stays: it keeps the key's last fence. Where others
-- wait, the first of them gets the lock.
--
-- needs   fast, fast/held, layout, marker, prelude, steps
-- include clock
if expires and expires > now and form == SINGLE then
  gone, reply = gone or {}, nil
  gone[#gone + 1] = KEYS[first]
elseif expires and expires > now and has_others and not is_guarded then
  if not grant_next then
    -- include fast/grant_next
  end
  local is_done, failure = pcall(grant_next, first, others, record, expires)
  if is_done then
    reply = nil
  else
    -- The machine ends the lease, whatever is damaged in the queue.
    -- include failed
    failed(failure)
  end
end
