-- The two numbers of a call that may grant. The first stands for the fences of all locks that say
-- everything themselves: it is the largest of them, and only grows. The other is the number of the
-- last such call of the same sender: a request that arrives again, late, carries out nothing.
local LATE_MS = '60000'
if number ~= '0' and (tonumber(found[2] or 0) or 0) >= tonumber(number) then
  return redis.error_reply('LATE a later call of the same sender was carried out before this one')
end
local floor = number ~= '0' and tonumber(found[1] or 0) or 0
if floor >= LAST then
  return redis.error_reply('CLOCK the last fence of the server is past the year 2255')
end
-- The fence of a lease that begins in this call. As text it is always as long, as are times.
local fence_before, fence_now = floor, math.max(floor + 1, now)
local now_text = format('%016d', now)
local fence_text = fence_now == now and now_text or format('%016d', fence_now)

-- Keeps both for the calls to come.
local function remember()
  -- Refused under memory pressure only if nothing was written, and so nothing granted.
  ask('SET', KEYS[2], number, 'PX', LATE_MS)
  if floor == fence_before then return end
  ask('SET', KEYS[1], floor == fence_now and fence_text or digits(floor), 'PX', retention)
end

