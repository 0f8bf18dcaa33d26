-- Many acquires and releases of mutexes, each of another key.
--
-- KEYS    if there are acquires: fence and calls, as in begin.lua, then lock and record of each;
--         then the lock of each release; with a restart guard the marker stands before all of them
-- ARGV    1 restart guard, as in begin.lua
--         2 the number of this call among its sender's that may grant; 0: it may not
--         then the steps in runs, as in begin.lua, but only with "a" or "r"
-- answer  the fence of all locks that were granted, then what else there is to say: the number of
--         a step and its reply, which is a fence of its own, a list, or -1: to be asked in full. Of
--         what is not named all was done
-- atomic  because the looks, the fence and the locks must not be parted
local replies, nth, first, at = { fence_now }, 0, base + 1, 3

local function say(reply)
  replies[#replies + 1] = nth
  replies[#replies + 1] = reply
end

while at <= #ARGV do
  local letter, count = ARGV[at], ARGV[at + 1]
  if letter == 'a' then
    local head = head_of(ARGV[at + 2])
    at = at + 3
    for each = at, at + count - 1 do
      nth = nth + 1
      local claim = ARGV[each]
      local fence = take(first, claim, head)
      if fence ~= fence_now then say(fence or busy(first, claim)) end
      first = first + 2
    end
  else
    at = at + 2
    for each = at, at + count - 1 do
      nth = nth + 1
      local lock = found[first]
      -- One that says everything itself ends with its key, so its time needs no look. Any other
      -- has a record, which was not looked up.
      if lock and find(lock, ARGV[each], 1, true) == 1 then
        gone[#gone + 1] = KEYS[first]
      else
        say(-1)
      end
      first = first + 1
    end
  end
  at = at + count
end
if gone[1] then call('DEL', unpack(gone)) end
if number ~= '0' then remember() end
return replies
