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

local letter, left, head = nil, 0, nil

-- Carries out steps until none is left. Where it is broken off, the state is that of the next.
local function carry_out()
  while at <= #ARGV do
    if left == 0 then
      letter, left, at = ARGV[at], tonumber(ARGV[at + 1]), at + 2
      if letter == 'a' then
        head = head_of(ARGV[at])
        at = at + 1
      end
    end
    local claim, mine = ARGV[at], first
    at, left, nth = at + 1, left - 1, nth + 1
    if letter == 'a' then
      first = mine + 2
      local fence = take(mine, claim, head)
      if fence ~= fence_now then say(fence or busy(mine, claim)) end
    else
      first = mine + 1
      local lock = found[mine]
      -- One that says everything itself ends with its key, so its time needs no look. Any other
      -- has a record, which was not looked up.
      if lock and find(lock, claim, 1, true) == 1 then
        gone[#gone + 1] = KEYS[mine]
      else
        say(-1)
      end
    end
  end
end

repeat
  local is_done, failure = pcall(carry_out)
  if not is_done then say(failed(failure)) end
until is_done
if gone[1] then call('DEL', unpack(gone)) end
if number ~= '0' then remember() end
return replies
