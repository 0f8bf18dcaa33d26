-- The two numbers of a call that may grant. The first stands for the fences of all locks that say
-- everything themselves: it is the largest of them, and only grows. The other is the number of the
-- last such call of the same sender: a request that arrives again, late, carries out nothing.
--
-- For so long a request that arrives again is known, in milliseconds.
--
-- needs   layout, prelude, steps
-- gives   LATE_MS, floor, floor_before, fence_now, now_text, fence_text
local LATE_MS = '60000'
local floor, floor_before, fence_now, now_text, fence_text = 0, 0, 0, nil, nil
if has_number then
  if (tonumber(found[2] or 0) or 0) >= tonumber(number) then
    return redis.error_reply('LATE a later call of the same sender was carried out before this one')
  end
  floor = tonumber(found[1] or 0) or 0
  if floor >= LAST then
    return redis.error_reply('CLOCK the last fence of the server is past the year 2255')
  end
  -- The fence of a lease that begins in this call. As text it is always as long, as are times.
  floor_before, fence_now, now_text = floor, math.max(floor + 1, now), format(NUMBER, now)
  fence_text = fence_now == now and now_text or format(NUMBER, fence_now)
end
