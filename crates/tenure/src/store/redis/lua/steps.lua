-- Carries out steps of keys: the transitions of `protocol::KeyState`, each as one atomic step.
--
-- KEYS    of a call with a number, first
--           fence   string, the largest fence of any lock that says everything itself
--           calls   string, the number of the last such call of the same sender
--         of a call with a restart guard, next, unless this is a cluster
--           marker  string, as in marker.lua
--         then, of what a key of ours has on the server:
--           lock    string, the holder; the name that other libraries use. Claim 1 of 1
--           record  string: what else is known, as in layout.lua
--           queue   zset, waiter -> order of arrival
--           places  hash, waiter -> packed place
--           alive   zset, waiter -> when its place is forgotten, in microseconds
--           buried  zset, owner -> until when it is refused, in microseconds
--         lock and record of each fast step; then, if there are no more than `others_max` of
--         them, the other four of each "n" and "r", and those of each "h" but `buried`; then all
--         six of each key of the full steps
-- ARGV    1 the number of this call among its sender's that may grant; 0: it has none
--         2 the number of fast steps, which are on different keys and come first
--         3 with a restart guard: how the marker must begin, or else nothing new is granted; the
--           same behind `?`, a time and `:`: nothing new is granted, and for so long the server is
--           known to the sender, by its own clock
--         4 of a cluster with a restart guard: the marker's key, which is of a slot of this node
--         then the fast steps, as in fast.lua, and the full steps, as in full.lua
-- answer  the fence of the first grant of fast steps, alone or in a list with pairs behind it: the
--         number of a step and its reply. A fast step that is not named was done, and if it grants,
--         with that fence. -1: to be sent in full. If nothing new is granted, 0 is paired with what
--         marker.lua says
-- atomic  because a look and the write that rests on it must not be parted; a release grants the
--         next waiter in the same step
--
-- Times are microseconds of this server's clock. A mutex without queue and tombstones is its lock
-- alone. It leaves nothing behind: the fences of all such locks come from one number, which only
-- grows. A request that arrives again, late, is known by its number, and carries out nothing. A
-- key that has more than a lock has a record.
--
-- Only what is executed costs the server time, and to define a function costs as much as to call
-- one. So each branch defines what it uses, and numbers go to commands as text, since the server
-- would format each anew.
--
-- needs   preface, layout, prelude
-- gives   number, fast_steps, told, has_number, base, with_others, at, first, others, found, gone,
--         usual, answer, pushes, left

local number, fast_steps, told = ARGV[1], ARGV[2] + 0, has_guard and ARGV[3]
local has_number, base, with_others = number ~= '0', 0, fast_steps <= others_max
if has_number then base = 2 end
if has_guard and not in_slots then base = base + 1 end
-- Where the next step stands among the arguments and keys.
local at, first, others = 3, base + 1, base + 2 * fast_steps + 1
if has_guard then at = in_slots and 5 or 4 end
-- Without fast steps the lock and record of the first full step stand next.
local known = fast_steps > 0 and others - 1 or math.min(base + 2, #KEYS)
local found = known > 0 and call('MGET', unpack(KEYS, 1, known)) or {}
-- Releases alone need no time, as long as their locks say everything.
if has_number or ARGV[at] ~= 'r' then
  -- include clock
end
-- The keys that are deleted in the end; the fence of the first grant; the other answers; what is
-- told to each inbox.
local gone, usual, answer, pushes = nil, 0, nil, nil
-- include fences
-- include marker
-- Fast steps that the machine must look at.
local left
if fast_steps > 0 then
  -- include fast
end
if left or at <= #ARGV then
  -- include clock
  -- include full
end
if gone then call('DEL', unpack(gone)) end
-- Without the right to publish, waiters look by themselves.
if pushes then
  for inbox, told in pairs(pushes) do ask('PUBLISH', inbox, table.concat(told, '\n')) end
end
if has_number then
  -- It is refused under memory pressure only if nothing was written, and so nothing granted. Where
  -- another one holds the number is kept as well: the request shall not be carried out when it
  -- arrives again, after that one has let go.
  ask('SET', KEYS[2], number, 'PX', LATE_MS)
  if floor ~= floor_before then
    ask('SET', KEYS[1], floor == fence_now and fence_text or format(NUMBER, floor), 'PX', retention)
  end
end
if not answer then return usual end
answer[1] = usual
return answer
