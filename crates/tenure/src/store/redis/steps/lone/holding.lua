-- A lone step of a holder: what it is told, and what is known of its key.
local claim, guard = ARGV[1], tonumber(ARGV[2])
local found = call('MGET', KEYS[1], KEYS[2])

