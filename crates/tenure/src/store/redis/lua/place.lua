-- A waiter's place as it is stored (its units as in full/layout.lua), and the push that tells a
-- waiter of its grant: five lines, attempt, fence, stamp, owner and name of the key. The pushes of a
-- call to one inbox are one message, one behind the other.
--
-- needs   preface, prelude, steps
-- gives   read_place, announce
local function read_place(packed)
  local p = cmsgpack.unpack(packed)
  return {
    owner = p[1], attempt = p[2], label = p[3], units = p[4], lease = p[5], since = p[6],
    inbox = p[7], stamp = p[8], expires = p[9], value = p[10], is_plain = p[4] == 2,
  }
end

local function announce(lock_key, place, fence)
  local inbox = place.inbox
  if inbox == '' then return end
  local name = sub(lock_key, before + 1, -behind - 1)
  local push = { place.attempt, format('%d', fence), place.stamp, place.owner, name }
  pushes = pushes or {}
  pushes[inbox] = pushes[inbox] or {}
  table.insert(pushes[inbox], table.concat(push, '\n'))
end
