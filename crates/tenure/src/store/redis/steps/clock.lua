-- The time of this server, in microseconds of its clock. It is read once.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

