-- A lone step of a holder: what it is told, and what is known of its key.
local claim, told = ARGV[1], ARGV[2]
local base = told ~= '0' and 1 or 0
local found = call('MGET', unpack(KEYS, 1, base + 2))

