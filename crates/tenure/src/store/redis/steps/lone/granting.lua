-- A lone step that grants: what it is told, and what is known of its key.
local claim, told, ttl, number, base = ARGV[1], ARGV[2], ARGV[3], ARGV[4], #KEYS - 2
local found = call('MGET', unpack(KEYS))

