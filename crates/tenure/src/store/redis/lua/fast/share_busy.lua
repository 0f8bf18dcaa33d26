-- The answer to a share for which there is no room: when there will be, and who is in the way.
--
-- needs   fast, fast/share, layout, prelude, shares_layout
local ends, left, at_mark = {}, used, find(shares, MARK, 1, true)
local since, label, _ = tonumber(sub(shares, at_mark - SHARE_SINCE, at_mark - SHARE_EXPIRES - 1))
while at_mark do
  local next_mark = find(shares, MARK, at_mark + 1, true)
  if not ends[1] then
    local last = next_mark and next_mark - SHARE_BEGIN - 1 or #shares
    _, _, _, label = string.match(sub(shares, at_mark + 1, last), CLAIM)
  end
  ends[#ends + 1] = {
    at = tonumber(sub(shares, at_mark - SHARE_EXPIRES, at_mark - SHARE_UNITS - 1)),
    units = tonumber(sub(shares, at_mark - SHARE_UNITS, at_mark - 1)),
  }
  at_mark = next_mark
end
table.sort(ends, function(one, other) return one.at < other.at end)
for _, part in ipairs(ends) do
  left = left - part.units
  if left + units <= limit then
    reply = { 'busy', math.max(0, part.at - now), label, math.max(0, now - since) }
    break
  end
end
