-- The answer of a step that failed: each answers for itself, and those that come with it go on.
-- An error of the server as a whole (it is a replica, its disk is full) ends the call instead. A
-- server says that at a call's first write, so that nothing was written then; the same goes for
-- memory.
--
-- needs   prelude
-- gives   failed
local function failed(failure)
  local text = type(failure) == 'table' and failure.err or tostring(failure)
  for code in string.gmatch(
    'READONLY MISCONF NOREPLICAS MASTERDOWN CLUSTERDOWN TRYAGAIN LOADING', '%a+'
  ) do
    if find(text, code, 1, true) then error(failure, 0) end
  end
  return { 'failed', text }
end
