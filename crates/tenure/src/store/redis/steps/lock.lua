-- What a lock that says everything itself says: a holder, as the machine has it.
local CLAIM = '^([^\n]*)\n(%d)(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)(.*)$'
local function lock_of(value)
  local owner, layout, attempt, label = string.match(sub(value, 1, -49), CLAIM)
  if not owner or not find(value, '^%d+$', -48) then return end
  if layout ~= '1' then return nil, layout end
  local fence, since, expires = sub(value, -48, -33), sub(value, -32, -17), sub(value, -16)
  return { owner, attempt, label, 1, tonumber(fence), tonumber(since), tonumber(expires) }
end

