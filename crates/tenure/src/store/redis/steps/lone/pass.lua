-- A lone pass, ahead of the line, to one who has no place in it.
--
-- KEYS    marker if it is guarded, lock, record and queue, as in begin.lua
-- ARGV    1 claim of the holder: owner, line feed, 1, attempt
--         2 restart guard, as in begin.lua
--         3 ttl of the next
--         4 claim of the next, with its label
-- answer  the fence, or -1: to be asked in full
-- atomic  because the key must at no moment be free
--
-- It needs no number: it grants nothing unless its sender still holds, so once only.
local queue = KEYS[base + 3]
return pass_ahead(base + 1, queue, claim, ARGV[4], tonumber(ARGV[3])) or -1
