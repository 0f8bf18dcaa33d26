-- The time of this server, in microseconds of its clock. It is read once, where it is first needed.
--
-- needs   prelude
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
  if now > LAST then
    return redis.error_reply('CLOCK the time of the server is past the year 2255')
  end
end
