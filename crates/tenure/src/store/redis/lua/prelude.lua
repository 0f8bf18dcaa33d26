-- Words of every script.
--
-- gives   call, ask, sub, find, format, LAST, now
local call, ask, sub, find, format = redis.call, redis.pcall, string.sub, string.find, string.format
-- The last time and fence that a script counts exactly and a lock has digits for: in the year 2255.
local LAST = 9000000000000000
-- The time, once it was read.
local now
