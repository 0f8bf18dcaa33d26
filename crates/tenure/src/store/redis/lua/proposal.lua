-- The least that a new fence is: the clock, or a proposal (pN:W) that is at most W away from it.
--
-- needs   prelude
-- gives   least_by
local function least_by(rule)
  local proposed, within = string.match(rule or '', '^p(%d+):(%d+)$')
  if not proposed then return now end
  return math.max(now - within, math.min(tonumber(proposed), now + within))
end
