-- A step over several keys: all of them are granted, or none.
--
-- needs   full, full/state, full/steps

-- Goes on with a key that was in hand before.
local function take_again(hand)
  names, key, state = hand.names, hand.key, hand.state
end

-- Saves the key in hand; answers the reply, or the failure.
local function saved(reply)
  if not key.is_dirty then return reply end
  local is_saved, failure = pcall(save)
  return is_saved and reply or failed(failure)
end

-- Looks at the keys in their order, up to the first that cannot be had; answers what it says.
local function look_at(members, hands)
  for place, member in ipairs(members) do
    local refused = take_in_hand(member.first, member.others)
    if refused then return { 'blocked', place, refused } end
    local step = member[1]
    step.only_looks = true
    local reply = carry_out(step)
    step.only_looks = false
    hands[place] = { names = names, key = key, state = state }
    if reply[1] ~= 'free' then return { 'blocked', place, reply } end
  end
end

-- Nothing can stand in the way of a key that was looked at, since time stands still. The first
-- write may be refused for want of memory, and no later one is. So if one key cannot be taken, no
-- other was.
function acquire_all(group)
  local hands, granted = {}, { 'all_granted' }
  local blocked = look_at(group.members, hands)
  for place, hand in ipairs(hands) do
    take_again(hand)
    if blocked then
      saved()
    else
      local reply = saved(carry_out(group.members[place][1]))
      granted[place + 1] = reply[2]
      if reply[1] ~= 'granted' then blocked = { 'blocked', place, reply } end
    end
  end
  return { blocked or granted }
end
