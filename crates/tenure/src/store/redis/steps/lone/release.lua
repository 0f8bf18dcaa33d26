-- A lone release of a mutex, without min_hold and tombstone. Others may wait for it.
--
-- KEYS    marker if it is guarded, lock, record, queue and places, alive and buried, as in begin.lua
-- ARGV    1 claim: owner, line feed, 1, attempt
--         2 restart guard, as in begin.lua
-- answer  0: released; a list with the reply of a key that is not its sender's; or -1: to be asked
--         in full
-- atomic  because it grants the next waiter in the same step
local expires, tail = held(base + 1, claim, true)
if not expires then return busy(base + 1, claim) == -1 and -1 or { { 'others' } } end
if tail == 43 and is_guarded then return -1 end
if tail == 43 then
  hand_on(base + 1, base + 3)
else
  call('DEL', KEYS[base + 1])
end
return 0
