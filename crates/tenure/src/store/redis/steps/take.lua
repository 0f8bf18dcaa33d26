-- What locks of this moment end with, and how long they live.
local function head_of(ttl)
  local micros = tonumber(ttl)
  local px = ms(micros)
  return {
    stamp = fence_text .. now_text .. format('%016d', now + micros),
    expires = now + micros,
    px = px,
    lock_px = digits(px),
  }
end

-- What is deleted in the end.
local gone = {}

-- The fence of a new lease of a mutex, if nothing stands in its way that the machine should look at.
local function take(first, claim, head)
  local record, fence, stamp = found[first + 1], fence_now, head.stamp
  if found[first] or is_guarded then return end
  if record then
    if sub(record, 1, 2) ~= '1S' then return end
    local last_fence = unpack_from('>d', record, 3)
    if last_fence >= fence then
      fence = last_fence + 1
      stamp = format('%016d%016d%016d', fence, now, head.expires)
    end
  end
  local written = ask('SET', KEYS[first], claim .. stamp, 'PX', head.lock_px, 'NX')
  if not written or written.err then return end
  if record then gone[#gone + 1] = KEYS[first + 1] end
  if fence > floor then floor = fence end
  return fence
end

