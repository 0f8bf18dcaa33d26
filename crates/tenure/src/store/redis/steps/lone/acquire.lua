-- A lone acquire of a mutex, without a place in the queue.
--
-- KEYS    fence, calls, marker if it is guarded, lock and record, as in begin.lua
-- ARGV    1 claim: owner, line feed, 1, attempt, label
--         2 restart guard, as in begin.lua
--         3 ttl
--         4 the number of this call among its sender's that may grant
-- answer  the fence; a list with the reply of a key that is busy; or -1: to be asked in full
-- atomic  because the look, the fence and the lock must not be parted
local fence = take(base + 1, claim, head_of(ttl))
local reply = fence or busy(base + 1, claim)
if reply == -1 then return -1 end
if gone[1] then call('DEL', gone[1]) end
-- Where another one holds, too: the request shall not be carried out when it arrives again, after
-- that one has let go.
remember()
return fence or { reply }
