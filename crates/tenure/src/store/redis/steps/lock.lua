-- What a lock that says everything itself says: a holder, as the machine has it.
local CLAIM = '^([^\n]*)\n(%d)(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)(.*)'
local NUMBER = '(%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d)'
local function lock_of(value)
  local owner, layout, attempt, label, fence, since, expires =
    string.match(value, CLAIM .. NUMBER .. NUMBER .. NUMBER .. '$')
  if layout ~= '1' then return nil, layout end
  return { owner, attempt, label, 1, tonumber(fence), tonumber(since), tonumber(expires) }
end

