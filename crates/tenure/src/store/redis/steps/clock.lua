-- The time of this server, in microseconds of its clock. It is read once. A script counts exactly up
-- to 2^53, and a lock has 16 digits for a time or a fence: past the year 2255 nothing is certain.
local LAST = 9000000000000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > LAST then
  return redis.error_reply('CLOCK the time of the server is past the year 2255')
end

