-- A lock that says everything itself, as a holder. Of another layout it is none, but its number.
--
-- needs   layout, prelude
-- gives   read_lock
local function read_lock(value)
  local owner, layout, attempt, label = string.match(sub(value, 1, NUMBERS_AT - 1), CLAIM)
  if not owner or not find(value, '^%d+$', NUMBERS_AT) then return end
  if layout ~= LAYOUT then return nil, layout end
  return {
    owner = owner, attempt = attempt, label = label,
    fence = tonumber(sub(value, NUMBERS_AT, SINCE_AT - 1)),
    since = tonumber(sub(value, SINCE_AT, LOCK_EXPIRES_AT - 1)),
    expires = tonumber(sub(value, LOCK_EXPIRES_AT)),
  }
end
