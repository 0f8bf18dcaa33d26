-- A waiter's place as it is stored (its units as in full/layout.lua), and the push that tells a
-- waiter of its grant.
--
-- needs   preface, prelude
-- gives   read_place, announce
local function read_place(packed)
  local p = cmsgpack.unpack(packed)
  return {
    owner = p[1], attempt = p[2], label = p[3], units = p[4], lease = p[5], since = p[6],
    inbox = p[7], stamp = p[8], expires = p[9], value = p[10],
  }
end

-- Without the right to publish, the waiter looks by itself.
local function announce(lock_key, place, fence)
  if place.inbox == '' then return end
  local name = sub(lock_key, before + 1, -behind - 1)
  local push = { place.attempt, format('%d', fence), place.stamp, place.owner, name }
  ask('PUBLISH', place.inbox, table.concat(push, '\n'))
end
