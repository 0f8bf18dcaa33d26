-- A renewal of a mutex. It lets a lease last longer; never shorter.
--
-- needs   preface, fast, fast/held, layout, prelude, steps
local till = now + ttl
if expires and expires > now then
  reply = nil
  if till > expires and record then
    record = sub(record, 1, EXPIRES_AT - 1) .. struct.pack(DOUBLE, till)
      .. sub(record, LEASE_END + 1)
    local set = ask('PEXPIRE', KEYS[first], px_text) == 1
      and ask('SET', KEYS[first + 1], record, 'PX', format('%d', px + retention))
    -- The machine says why.
    if not set or set.err then reply = false end
  elseif till > expires then
    lock = sub(lock, 1, LOCK_EXPIRES_AT - 1) .. format(NUMBER, till)
    local lock_key, lock_px = KEYS[first], px_text
    -- include fast/overwrite
  end
end
