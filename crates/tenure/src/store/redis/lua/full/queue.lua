-- Those who wait, in order of arrival. A place is written once for all steps of a call.
--
-- needs   full/layout, full/state, full/tombstones, place, prelude
-- gives   NEAR, MANY, read_places, place_of, put_place, write_places, rank_of, read_ahead,
--         set_waiting, remove_place, is_waiting

-- So many places are looked at one by one; what is farther back is told less.
local NEAR = 16
-- So many places are read or written by one command.
local MANY = 1000
-- How long a queue is kept at least, in milliseconds.
local QUEUE_MIN_MS = 10000

local function pack_place(p)
  local units = p.is_plain and 2 or p.units == ALL and 1 or -p.units
  return cmsgpack.pack({
    p.owner, p.attempt, p.label, units, p.lease, p.since, p.inbox, p.stamp, p.expires, p.value,
  })
end

local function read_places(ids)
  local unread = {}
  for _, id in ipairs(ids) do
    if key.places[id] == nil and #unread < MANY then unread[#unread + 1] = id end
  end
  if not unread[1] then return end
  for index, packed in ipairs(call('HMGET', names.places, unpack(unread))) do
    local place = packed and read_place(packed)
    if place then place.units = place.units < 0 and -place.units or ALL end
    key.places[unread[index]] = place
  end
end

local function place_of(id)
  if key.places[id] == nil then read_places({ id }) end
  return key.places[id]
end

local function put_place(id, place)
  key.places[id] = place
  key.unwritten[#key.unwritten + 1] = id
end

-- Writes what was put off. It begins with a write that needs no memory, so that one who waits
-- already keeps its place under memory pressure.
local function write_places()
  local packed, alive, px, ids = {}, {}, QUEUE_MIN_MS, key.unwritten
  key.unwritten = {}
  for _, id in ipairs(ids) do
    local place = key.places[id]
    if place then
      packed[#packed + 1], packed[#packed + 2] = id, pack_place(place)
      alive[#alive + 1], alive[#alive + 2] = digits(place.expires), id
      -- At least as long as the longest window, so that no live place expires with its key.
      px = max(px, ms(place.expires - now))
    end
  end
  if not packed[1] then return end
  call('PEXPIRE', names.queue, digits(px))
  call('HSET', names.places, unpack(packed))
  call('PEXPIRE', names.places, digits(px))
  call('ZADD', names.alive, unpack(alive))
  call('PEXPIRE', names.alive, digits(px))
end

-- How many stand before a waiter.
local function rank_of(id)
  return key.ranks and key.ranks[id] or call('ZRANK', names.queue, id)
end

-- Reads at once what many steps are going to ask for one by one.
local function read_ahead(steps)
  if #steps < NEAR or state.waiting == 0 then return end
  local ids = {}
  for _, step in ipairs(steps) do
    if step.letter == 'A' then ids[#ids + 1] = id_of(step) end
  end
  read_places(ids)
  if state.waiting > 4 * #ids then return end
  key.ranks = {}
  for index, id in ipairs(call('ZRANGE', names.queue, '0', '-1')) do key.ranks[id] = index - 1 end
end

-- Where places were lost, it is not known how many of them wanted a share.
local function set_waiting(count)
  state.waiting, state.shares = count, math.min(state.shares, count)
  key.is_dirty = true
end

local function remove_place(id)
  local place = state.shares > 0 and place_of(id)
  call('ZREM', names.queue, id)
  call('HDEL', names.places, id)
  call('ZREM', names.alive, id)
  if place and place.units < ALL then state.shares = state.shares - 1 end
  set_waiting(call('ZCARD', names.queue))
  key.places[id], key.ranks = false, nil
end

local function is_waiting(claim)
  return state.waiting > 0 and call('ZSCORE', names.queue, id_of(claim))
end
