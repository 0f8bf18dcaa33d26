-- The steps of this call, one after the other.
local nth = 1
while nth <= simple do
  local letter, last = ARGV[at], nth + ARGV[at + 1] - 1
  local ttl, head = ARGV[at + 2], nil
  at = at + 2
  local rule = ''
  if letter == 'p' then
    rule, at = ARGV[at + 1], at + 2
  elseif letter ~= 'r' then
    head = heads[ttl] or head_of(ttl)
    heads[ttl] = head
    at = at + 1
  end
  for each = nth, last do
    local reply
    if letter == 'a' or letter == 'p' then
      local claim = ARGV[at]
      if letter == 'a' then
        reply = take(first, claim, head)
      else
        reply = take_proposed(first, claim, ttl, rule)
      end
      if not reply then
        local owner, _, attempt, label = string.match(claim, CLAIM)
        local args = { owner, attempt, label, 1, 1, ttl, 0, 0, '', rule }
        reply = in_full(first, nil, 'A', args)
      end
      first = first + 2
    elseif letter == 'h' then
      reply = pass_ahead(first, ARGV[at], ARGV[at + 1], tonumber(ttl)) or -1
      first, at = first + 2, at + 1
    else
      local claim = ARGV[at]
      local has_record = with_records or letter == 'n'
      local expires, tail = held(first, claim, has_record)
      local has_queue = tail == 43
      if not expires or (letter == 'r' and has_queue and (is_guarded or not with_others)) then
        local owner, attempt = sub(claim, 1, -19), sub(claim, -16)
        if letter == 'r' then
          reply = in_full(first, others, 'R', { owner, attempt, 0, -1 })
        else
          reply = in_full(first, others, 'N', { owner, attempt, ttl })
        end
      else
        reply = 0
        if letter == 'n' then
          lengthen(first, head, expires)
        elseif has_queue then
          hand_on(first, others)
        else
          gone[#gone + 1] = KEYS[first]
        end
      end
      first = first + (has_record and 2 or 1)
      if with_others then others = others + 4 end
    end
    replies[each], at = reply, at + 1
  end
  nth = last + 1
end
if gone[1] then call('DEL', unpack(gone)) end

local COUNTS = { A = 10, N = 3, R = 4, P = 15, W = 3, T = 6, F = 1, H = 3, S = 10, I = 0 }
while at <= #ARGV do
  local letters, arguments = {}, {}
  local last = tonumber(ARGV[at])
  at = at + 1
  for each = 1, last do
    local letter, args = ARGV[at], {}
    for index = 1, COUNTS[letter] do args[index] = ARGV[at + index] end
    letters[each], arguments[each] = letter, args
    at = at + 1 + COUNTS[letter]
  end
  if found[others] == nil then
    local both = call('MGET', KEYS[others], KEYS[others + 1])
    found[others], found[others + 1] = both[1], both[2]
  end
  local done = last == 1 and letters[1] == 'P' and pass_on(others, arguments[1])
  if not done then
    general = general or machine()
    done = general(others, others + 2, found[others], found[others + 1], letters, arguments)
  end
  for _, reply in ipairs(done) do replies[#replies + 1] = reply end
  others = others + 6
end
if number ~= '0' then remember() end
replies[#replies + 1] = note
return replies
