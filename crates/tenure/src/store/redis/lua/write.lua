-- Commands on data in one step, if a lease is held at this moment.
--
-- KEYS    lock, record and buried, as in steps.lua
-- ARGV    1 the owner of the lease, 2 its attempt; then for each command the number of its words,
--         and the words
-- answer  'gone': the lease is not held, and nothing was carried out. 'done', and a list with the
--         answer to each command. 'failed', how many were carried out before, and the error
-- atomic  because between a look at the lease and a write another could be granted
--
-- The commands have the rights of the user who calls. Their keys are not among KEYS: one server
-- does not ask for that.

-- include prelude
-- include layout
-- include lock
-- include clock
-- include full/layout
-- include full/state
-- include full/tombstones

local both = call('MGET', KEYS[1], KEYS[2])
local lock, record, seen = both[1], both[2], nil
if lock then seen = read_lock(lock) end
names = { lock = KEYS[1], buried = KEYS[3] }
state = load(lock, record, seen)
if not state then
  return redis.error_reply('LAYOUT the lock has a layout that this program does not know')
end

local function is_held(owner, attempt)
  local value = seen and seen.owner or lock
  for _, holder in ipairs(state.holders) do
    if holder.owner == owner and holder.attempt == attempt then
      -- An exclusive lease ends when the lock is deleted, or has another value. Shares have none.
      local has_its_lock = holder.units < ALL or value == owner
      return has_its_lock and holder.expires > now and not is_buried(holder)
    end
  end
  return false
end

if not is_held(ARGV[1], ARGV[2]) then return { 'gone' } end
local answers, at = {}, 3
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local answer = ask(unpack(ARGV, at + 1, at + count))
  if type(answer) == 'table' and answer.err then
    return { 'failed', #answers, answer.err }
  end
  answers[#answers + 1], at = answer, at + count + 1
end
return { 'done', answers }
