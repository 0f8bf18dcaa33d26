-- A lone step that grants: what it is told, and what is known of its key.
local claim, guard, ttl, number, base = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], 2
local found = call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])

