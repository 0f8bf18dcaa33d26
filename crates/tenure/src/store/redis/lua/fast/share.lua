-- A share, where shares alone are held and nobody waits: its acquire, release or renewal. All else
-- is left to the machine, and then nothing was written.
--
-- needs   preface, fast, fences, layout, marker, prelude, steps
-- gives   used, shares

-- The key's last fence, the limit of its shares if it has any, how many units are held, the bounds
-- of when their leases end, and the shares.
local fence, of, used, first_end, last_end, shares = 0, nil, 0, LAST, 0, ''
-- Whether the record changes, and the answer once it is written.
local has_changed, answered = false, nil
-- include clock
-- include shares_layout
local form, is_known = record and sub(record, 1, 2), not record
if form == SHARES and #record > SHARES_AT then
  fence, of, used, first_end, last_end = struct.unpack(SHARES_HEAD, record, LEASE_AT)
  shares, is_known = sub(record, SHARES_AT), true
elseif form == SINGLE and #record > LEASE_END then
  fence, is_known = struct.unpack(DOUBLE, record, LEASE_AT), true
end
-- A claim is found by its owner, layout and attempt.
local name = letter == 's' and sub(claim, 1, find(claim, '\n', 1, true) - OWNER_END - 2) or claim
local mark = find(shares, MARK .. name, 1, true)
if lock or not is_known or first_end <= now then
  -- Somebody else is there, or a lease has ended.
elseif letter == 's' then
  if mark or is_guarded or of and of ~= limit then
    -- The machine says why not.
  elseif used + units > limit then
    -- include fast/share_busy
  else
    fence, used = math.max(fence_now, fence + 1), used + units
    -- Beside other shares nothing but a string can stand there.
    has_changed = fence <= LAST and (of or ask('TYPE', KEYS[first]).ok == 'none')
    of, answered = limit, fence
    first_end, last_end = math.min(first_end, now + ttl), math.max(last_end, now + ttl)
    shares = shares .. format(SHARE, fence, now, now + ttl, units, claim)
  end
elseif mark and letter == 'r' then
  local next_mark = find(shares, MARK, mark + 1, true)
  local rest = next_mark and sub(shares, next_mark - SHARE_BEGIN) or ''
  used, has_changed = used - sub(shares, mark - SHARE_UNITS, mark - 1), true
  shares = sub(shares, 1, mark - SHARE_BEGIN - 1) .. rest
elseif mark then
  local expires, till = tonumber(sub(shares, mark - SHARE_EXPIRES, mark - SHARE_UNITS - 1)), now + ttl
  -- It lets a lease last longer; never shorter.
  if till > expires then
    has_changed, last_end = true, math.max(last_end, till)
    shares = sub(shares, 1, mark - SHARE_EXPIRES - 1) .. format(NUMBER, till)
      .. sub(shares, mark - SHARE_UNITS)
  else
    reply = nil
  end
end
if has_changed then
  local stays = 0
  if shares == '' then
    record = SINGLE .. struct.pack(LEASE, fence, 0, 0) .. NOBODY
  else
    record = SHARES .. struct.pack(SHARES_HEAD, fence, of, used, first_end, last_end) .. shares
    stays = math.max(0, math.ceil((last_end - now) / 1000))
  end
  local written = ask('SET', KEYS[first + 1], record, 'PX', format('%d', retention + stays))
  if not written.err then reply = answered end
end
