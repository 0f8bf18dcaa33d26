-- The full branch: the machine of one key, every operation, whatever the key has. It carries out
-- what the fast branch has left, and the full steps: for each key the number of its steps, and for
-- each of them the letter of its operation and the arguments; an owner is a value and an attempt.
--   A acquire   owner label units limit ttl window stamp inbox fence value
--               (units and limit of an exclusive claim: ALL of full/layout.lua;
--               of a plain one: more)
--               (fence: empty: one is minted, pN:W: as in fast.lua, cN: it is N)
--               (value: empty: none, else as in full/value.lua)
--   N renew     owner ttl
--   R release   owner min_hold tombstone (-1: none)
--   P handoff   owner min_hold tombstone ahead (1 or 0), then as A
--   W withdraw  owner tombstone
--   T transfer  owner ttl next_owner label
--   F force     up_to
--   H raise     owner up_to
--   S steal     as A
--   C resize    owner fence from_units units limit
--   L set limit limit
--   G acquire all (in place of the number of steps, and then the number of keys, for all of which
--               the names are given) as A, for each key
--   B begin     as A, then every from_last (1 or 0) retry_failed (1 or 0) proposed (-1: the time is
--               this server's) within
--   E finish    owner tombstone outcome (ok or failed) why
--   V set value owner fence value
--   I inspect
--
-- needs   steps
-- gives   groups, operations, acquire, renew, release, handoff, withdraw, transfer, force, raise,
--         steal, resize, set_limit, begin, finish, inspect, acquire_all

-- The steps by their keys; whether an operation is among them.
local groups, operations = {}, {}
-- include full/layout
do
  -- include full/read
end
-- include proposal
-- include lock
-- include place
-- include full/state
-- include full/holders
-- include full/tombstones
-- include full/queue
-- include full/grants
local acquire, renew, release, handoff, withdraw, transfer, force, raise, steal, resize
local set_limit, begin, finish, inspect, acquire_all
if operations.A or operations.P or operations.B then
  -- include full/acquire
end
if operations.B or operations.I then
  -- include full/run
  if operations.B then
    -- include full/begin
  end
  if operations.I then
    -- include full/inspect
  end
end
if operations.R or operations.P or operations.W or operations.E then
  -- include full/release
  if operations.E then
    -- include full/finish
  end
end
if operations.N or operations.T or operations.F or operations.H or operations.S then
  -- include full/operations
end
if operations.C or operations.L then
  -- include full/units
end
-- include full/steps
if operations.G then
  -- include full/group
end
if operations.V then
  -- include full/value
end

answer = answer or { 0 }
for _, group in ipairs(groups) do
  for index, reply in ipairs((group.members and acquire_all or carry_out_steps)(group)) do
    answer[#answer + 1], answer[#answer + 2] = group.nth + index, reply
  end
end
