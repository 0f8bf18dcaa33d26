-- A lone step of a holder: what it is told, and what is known of its key.
local claim, retention, guard = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
-- What stands around the key in a lock's name, if it is told.
local before, behind = tonumber(ARGV[4]), tonumber(ARGV[5])
local found = call('MGET', KEYS[1], KEYS[2])

