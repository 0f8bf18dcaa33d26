-- What a crowd of steps is told, and what is known of their keys.
local told, number = ARGV[1], ARGV[2]
-- A call that may grant has two keys of its own in front of all others.
local base = number ~= '0' and 2 or 0
if told ~= '0' then base = base + 1 end
local found = call('MGET', unpack(KEYS))

