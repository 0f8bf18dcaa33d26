-- The fast branch: plain steps of mutexes and of shares, of which most come to a command or two.
-- They come in runs, a run being a letter, the ttl that its steps share, and for each step a claim
-- in one word: owner, line feed, 1, attempt.
--   a acquire   (1 of 1, without a place in the queue) and the label behind the attempt
--   g group     as a; after the ttl comes the number of keys. It is a run of its own
--   o acquire   as a, of a plain lock
--   p acquire   as a; after the ttl comes the fence that all of the run propose: pN:W, at least N,
--               which counts as no farther than W from the clock
--   s acquire   as a, of a share; after the ttl come the units and their limit
--   h handoff   (ahead of the queue, 1 of 1, without min_hold and tombstone) and, as a word of its
--               own, the claim of the next, as with a; the ttl is the next one's
--   n renew
--   r release   (no ttl; without min_hold and tombstone)
-- Nothing here fails for a key's sake, but for what is protected.
--
-- needs   fences, layout, prelude, steps
-- gives   nth, letter, beside, ttl, px, px_text, numbers, proposal, units, limit, next_claim, group,
--         claim, lock, record, reply
local KEYS, ARGV, nth = KEYS, ARGV, 0
local letter, is_acquire, beside, ttl, px, px_text, numbers
local proposal, units, limit, next_claim, group
repeat
  local claim, lock, record = ARGV[at], found[first], found[first + 1]
  if #claim == 1 then
    letter, at = claim, at + 1
    is_acquire = letter == 'a' or letter == 'o' or letter == 'p' or letter == 'g'
    -- So many other keys each of them has.
    beside = (is_acquire or letter == 's' or not with_others) and 0 or letter == 'h' and 3 or 4
    if letter ~= 'r' then
      ttl, at = ARGV[at] + 0, at + 1
      px = math.max(1, math.ceil(ttl / 1000))
      px_text = format('%d', px)
    end
    if letter == 'a' or letter == 'g' then
      numbers = fence_text .. now_text .. format(NUMBER, now + ttl)
    elseif letter == 'p' then
      proposal, at = ARGV[at], at + 1
    elseif letter == 's' then
      units, limit, at = ARGV[at] + 0, ARGV[at + 1] + 0, at + 2
    end
    if letter == 'g' then
      -- include fast/group
    end
    claim = ARGV[at]
  end
  nth, at = nth + 1, at + 1
  -- The answer: nothing if it is done as usual, false if the machine must look at it.
  local reply = false
  if is_acquire then
    -- include fast/acquire
  elseif letter == 'r' and lock and not record and find(lock, claim, 1, true) == 1 then
    -- It ends with its key, so that its time needs no look.
    gone, reply = gone or {}, nil
    gone[#gone + 1] = KEYS[first]
  elseif letter == 's' or not lock and record and letter ~= 'h' and sub(record, 1, 2) == SHARES then
    -- include fast/share
  else
    if letter == 'h' then next_claim, at = ARGV[at], at + 1 end
    -- include fast/holder
  end
  if group then
    -- include fast/member
  end
  if reply == nil or reply == usual then
    -- As usual.
  elseif reply == false and beside == 4 then
    left = left or {}
    left[#left + 1] =
      { letter = letter, nth = nth, claim = claim, ttl = ttl, first = first, others = others }
  elseif reply and usual == 0 and type(reply) == 'number' then
    usual = reply
  else
    answer = answer or { 0 }
    answer[#answer + 1], answer[#answer + 2] = nth, reply or -1
  end
  first = first + 2
  others = others + beside
until nth == fast_steps
first = others
