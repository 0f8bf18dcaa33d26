-- Carries out steps of keys: the transitions of `protocol::KeyState`, each as one atomic step.
--
-- KEYS    of a call that may grant, first
--           fence   string, the largest fence of any lock that says everything itself
--           calls   string, the number of the last such call of the same sender
--         of a call with a restart guard, next
--           marker  string, as in marker.lua
--         then, what a key of ours has on the server:
--           lock    string, the holder; what other libraries use. Claim 1 of 1
--           record  string: what else is known, see below
--           queue   zset, waiter -> order of arrival
--           places  hash, waiter -> packed place
--           alive   zset, waiter -> when its place is forgotten, in microseconds
--           buried  zset, owner -> until when it is refused, in microseconds
--         lock and record of each simple step (of those with "r" the lock alone, if ARGV says so),
--         then (if ARGV says so) the other four of each simple step but those with "a" or "p", then
--         all six of each key of the other steps.
-- ARGV    1 restart guard: how the marker must begin, or else nothing new is granted; the same
--           behind `?`, a time and `:`: nothing new is granted, and for so long the server is known
--           to the sender, by its own clock; 0: there is no guard
--         2 the number of simple steps, which are on different keys and come first
--         3 how many locks and records of simple steps there are, 4 "1": and their other keys
--         5 the number of this call among its sender's that may grant; 0: it may not
--         then the simple steps in runs, a run being a letter, the number of its steps, the ttl
--         that they share, and for each step a claim in one word: owner, line feed, 1, attempt
--           a acquire   (1 of 1, without a place in the queue) and the label behind the attempt
--           p acquire   as a; after the ttl comes the fence that all of the run propose: pN:W
--           h pass      (ahead of the line, 1 of 1, without min_hold and tombstone, to one who has
--                       most likely no place) and, as a word of its own, the claim of the next, as
--                       with a
--           n renew
--           r release   (no ttl; without min_hold and tombstone)
--         then for each other key the number of its steps, and for each of them the letter of its
--         operation and the arguments:
--           A acquire   owner attempt label units limit ttl window stamp inbox fence
--                       (fence: empty: one is minted, pN:W: at least N, which counts as no farther
--                       than W from the clock; cN: it is N)
--           N renew     owner attempt ttl
--           R release   owner attempt min_hold tombstone (-1: none)
--           P pass      owner attempt min_hold tombstone ahead (1 or 0), then as A
--           W withdraw  owner attempt tombstone
--           T transfer  owner attempt next_owner next_attempt label ttl
--           F force     up_to
--           H raise     owner attempt fence
--           S steal     as A
--           I inspect
-- answer  for each step a list: the name of the reply and its values. In short, for simple steps:
--         0 done, a fence: granted, -1: ask again with all keys, since its lock does not say all.
--         Behind the last of them, if nothing new is granted, what marker.lua says
-- atomic  because a look and the write that rests on it must not be parted; a release grants the
--         next waiter in the same step
--
-- Times are microseconds of this server's clock. A mutex without queue and tombstones is its lock
-- alone, whose value says everything: owner, line feed, layout 1, attempt (16 hex digits), label;
-- fence, since and expires (16 digits each). It leaves nothing behind: the fences of all such locks
-- come from one number, which only grows. A request that arrives again, late, is known by its
-- number, and carries out nothing.
--
-- What needs more has a record, and then the lock's value is the owner alone. A record begins with
-- the layout's number. "1S": a mutex without queue and tombstones; fence, since and expires as
-- three doubles, then the last holder's owner, a line feed, layout 1, attempt and label. It holds
-- as long as its owner is the lock's. "1Q": the same with a queue; behind the three doubles
-- two more, how many wait and how many ever came. "1G": everything else, packed.
--
-- What every command and every word costs is the cost of a lock, so: simple steps come first and
-- do without the machine; they are looked up with one MGET and released with one DEL; a release
-- that finds a queue hands the lock on with as few commands as there can be; numbers go to
-- commands as text, since the server would format each anew. A step that travels alone has a
-- script of its own (lone/*.lua), which is set up in a fraction of the time.

local told, simple = ARGV[1], tonumber(ARGV[2])
local looked_up, with_others = tonumber(ARGV[3]), ARGV[4] == '1'
local with_records, number, at = looked_up == 2 * simple, ARGV[5], 6
-- A call that may grant has two keys of its own in front of all others.
local base = number ~= '0' and 2 or 0
if told ~= '0' then base = base + 1 end
local first, others = base + 1, base + looked_up + 1
-- Without simple steps the first key of the others stands next, and is looked up as well.
local known = simple > 0 and others - 1 or math.min(others + 1, #KEYS)
local found = known > 0 and call('MGET', unpack(KEYS, 1, known)) or {}

