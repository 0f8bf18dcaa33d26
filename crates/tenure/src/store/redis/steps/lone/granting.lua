-- A lone step that grants: what it is told, and what is known of its key.
local claim, retention, guard = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ttl, number, base = ARGV[4], ARGV[5], 2
local found = call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])

