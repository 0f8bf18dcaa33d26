-- A lone acquire of a mutex for which a quorum proposes the fence.
--
-- KEYS    fence, calls, marker if it is guarded, lock and record, as in begin.lua
-- ARGV    1 claim: owner, line feed, 1, attempt, label
--         2 restart guard, as in begin.lua
--         3 ttl
--         4 the number of this call among its sender's that may grant
--         5 what is proposed: pN:W
-- answer  the fence; a list with the reply of a key that is busy; or -1: to be asked in full
-- atomic  because the look, the fence and the lock must not be parted
local fence = take_proposed(base + 1, claim, ttl, ARGV[5])
local reply = fence or busy(base + 1, claim)
if reply == -1 then return -1 end
-- Where another one holds, too, as after lone/acquire.lua.
remember()
return fence or { reply }
