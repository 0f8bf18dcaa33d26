-- What a new fence is at least: the clock, or a proposal that is not too far from it.
local function least_by(rule)
  local proposed, within = string.match(rule or '', '^p(%d+):(%d+)$')
  if not proposed then return now end
  return math.max(now - within, math.min(tonumber(proposed), now + within))
end

-- The fence of a new lease for which one is proposed, if nothing stands in its way that the
-- machine should look at. It has a record, which keeps the key's own last fence: that of other
-- proposed keys must not part this server from the others of its quorum. A key without a record
-- may have had any fence up to the floor.
local function take_proposed(first, claim, ttl, rule)
  local record, fence = found[first + 1], math.max(floor + 1, least_by(rule))
  if found[first] or is_guarded then return end
  if record then
    if sub(record, 1, 2) ~= '1S' then return end
    fence = math.max(unpack_from('>d', record, 3) + 1, fence)
  end
  local px, owner = ms(tonumber(ttl)), sub(claim, 1, find(claim, '\n', 1, true) - 1)
  local written = ask('SET', KEYS[first], owner, 'PX', digits(px), 'NX')
  if not written or written.err then return end
  local text = '1S' .. pack('>ddd', fence, now, now + ttl) .. claim
  call('SET', KEYS[first + 1], text, 'PX', digits(px + retention))
  return fence
end

