-- Claims that were given up: whatever still comes in their name is refused.
--
-- needs   full/state, prelude
-- gives   TOMBSTONE_MIN, id_of, make_room, bury, is_buried

-- How long a claim is refused at least that has ended while its holder may still ask, in
-- microseconds.
local TOMBSTONE_MIN = 60000000

local function id_of(claim)
  return claim.attempt .. ':' .. claim.owner
end

-- Under memory pressure a script may write what it likes once it has written something. This
-- changes nothing and needs no memory.
local function make_room(zset)
  call('ZREM', zset, '')
end

local function bury(claim, span)
  local id, till = id_of(claim), now + span
  local old = state.buried > now and call('ZSCORE', names.buried, id)
  if not old or tonumber(old) < till then
    call('ZADD', names.buried, digits(till), id)
  end
  if till > state.buried then
    state.buried = till
    call('PEXPIRE', names.buried, digits(ms(span)))
  end
  key.is_dirty = true
end

local function is_buried(claim)
  if state.buried <= now then return false end
  local till = call('ZSCORE', names.buried, id_of(claim))
  return till and tonumber(till) > now
end
