-- Reads the steps: which come upon which key, and which operations are used. A step over several
-- keys is a group with members.
--
-- needs   full, full/layout, layout, steps

local function read_owner(step)
  step.owner, step.attempt, at = ARGV[at], ARGV[at + 1], at + 2
end

local function read_number()
  at = at + 1
  return tonumber(ARGV[at - 1])
end

local function read_acquire(letter)
  local begin = at
  local units, limit = tonumber(ARGV[begin + 3]), tonumber(ARGV[begin + 4])
  local is_plain = units > ALL
  if is_plain then units, limit = ALL, ALL end
  at = at + 11
  return {
    letter = letter, owner = ARGV[begin], attempt = ARGV[begin + 1], label = ARGV[begin + 2],
    units = units, limit = limit, is_plain = is_plain,
    ttl = tonumber(ARGV[begin + 5]), window = tonumber(ARGV[begin + 6]),
    stamp = tonumber(ARGV[begin + 7]), inbox = ARGV[begin + 8], fence = ARGV[begin + 9],
    value = ARGV[begin + 10] ~= '' and ARGV[begin + 10] or nil,
  }
end

local function read_step()
  local letter = ARGV[at]
  operations[letter], at = true, at + 1
  if letter == 'A' or letter == 'S' then return read_acquire(letter) end
  if letter == 'B' then
    local begin = read_acquire(letter)
    begin.every, begin.from_last = read_number(), read_number() == 1
    begin.retries, begin.proposed, begin.within = read_number() == 1, read_number(), read_number()
    return begin
  end
  local step = { letter = letter }
  if letter ~= 'F' and letter ~= 'L' and letter ~= 'I' then read_owner(step) end
  if letter == 'N' or letter == 'T' then step.ttl = read_number() end
  if letter == 'R' or letter == 'P' then step.min_hold = read_number() end
  if letter == 'R' or letter == 'P' or letter == 'W' or letter == 'E' then
    step.tombstone = read_number()
  end
  if letter == 'E' then step.outcome, step.why, at = ARGV[at], ARGV[at + 1], at + 2 end
  if letter == 'F' or letter == 'H' then step.up_to = read_number() end
  if letter == 'C' then
    step.fence, step.from, step.units = read_number(), read_number(), read_number()
  end
  if letter == 'C' or letter == 'L' then step.limit = read_number() end
  if letter == 'V' then step.fence, step.value, at = read_number(), ARGV[at], at + 1 end
  if letter == 'P' then
    step.is_ahead, step.to = read_number() == 1, read_acquire()
  elseif letter == 'T' then
    step.to = {}
    read_owner(step.to)
    step.to.label, at = ARGV[at], at + 1
  end
  return step
end

for index, step in ipairs(left or {}) do
  local _
  step.owner, _, step.attempt = string.match(step.claim, CLAIM)
  step.letter, step.min_hold, step.tombstone = step.letter:upper(), 0, -1
  operations[step.letter] = true
  groups[index] = { nth = step.nth - 1, first = step.first, others = step.others, step }
end
local nth = fast_steps
while at <= #ARGV do
  local group, count = { nth = nth, first = first, others = first + 2 }, tonumber(ARGV[at])
  at = at + 1
  if count then
    for index = 1, count do group[index] = read_step() end
    nth, first = nth + count, first + 6
  else
    operations.A, operations.G, group.members, at = true, true, {}, at + 1
    for place = 1, tonumber(ARGV[at - 1]) do
      group.members[place] = { first = first, others = first + 2, read_acquire('A') }
      first = first + 6
    end
    nth = nth + 1
  end
  groups[#groups + 1] = group
end
