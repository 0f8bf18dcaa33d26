-- The script for a node of a cluster. A hash slot is to it what a server is to server.lua: it has
-- its own largest fence and its own call numbers, which move with it from node to node.
--
-- KEYS    as in steps.lua, all of one slot; or none, where the slots may be many
-- ARGV    with keys as in steps.lua; without, first 1 if the slot is on its way to this node (the
--         call comes behind ASKING), or 0, and then for each slot the number of its keys, the
--         number of its other arguments, and both
-- answer  with keys as in steps.lua; without, a list of the same for each slot, or of its error: a
--         slot that is not, or no longer, this node's fails alone
-- atomic  as in steps.lua, for each slot
--
-- A command over several slots is refused, so each slot has commands of its own. The time is read
-- once for all of them.

-- include prelude
-- include layout

local function carry_out(KEYS, ARGV)
  -- include steps
end

if #KEYS > 0 then return carry_out(KEYS, ARGV) end
local words, answers, at = ARGV, {}, 1
if words[1] + 0 == 1 then
  -- Of several keys in one command none may be missing while their slot is on its way.
  local of_any = call
  call = function(command, ...)
    if command ~= 'MGET' and command ~= 'DEL' then return of_any(command, ...) end
    local replies = {}
    for index, name in ipairs({ ... }) do
      local reply = of_any(command, name)
      if command == 'MGET' then reply = reply[1] end
      replies[index] = reply
    end
    return replies
  end
end

local function take(count)
  local taken = {}
  for index = 1, count do taken[index] = words[at + index] end
  at = at + count
  return taken
end

while at < #words do
  local counts = take(2)
  local keys = take(counts[1] + 0)
  local is_done, answer = pcall(carry_out, keys, take(counts[2] + 0))
  if not is_done then
    answer = { err = type(answer) == 'table' and answer.err or tostring(answer) }
  end
  answers[#answers + 1] = answer
end
return answers
