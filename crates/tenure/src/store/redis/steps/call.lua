-- The steps of this call, one after the other.
local nth, last, letter, ttl, rule, head = 0, 0, nil, nil, nil, nil

-- Carries out simple steps until none is left. Where it is broken off, the state is that of the next.
local function carry_out_simple()
  while nth < simple do
    nth = nth + 1
    if nth > last then
      letter, last, ttl, rule, head = ARGV[at], nth + ARGV[at + 1] - 1, ARGV[at + 2], '', nil
      at = at + 2
      if letter == 'p' then
        rule, at = ARGV[at + 1], at + 2
      elseif letter ~= 'r' then
        head = heads[ttl] or head_of(ttl)
        heads[ttl] = head
        at = at + 1
      end
    end
    local claim, mine, rest, reply = ARGV[at], first, others, nil
    at = at + 1
    if letter == 'a' or letter == 'p' then
      first = mine + 2
      if letter == 'a' then
        reply = take(mine, claim, head)
      else
        reply = take_proposed(mine, claim, ttl, rule)
      end
      if not reply then
        local owner, _, attempt, label = string.match(claim, CLAIM)
        local args = { owner, attempt, label, 1, 1, ttl, 0, 0, '', rule }
        reply = in_full(mine, nil, 'A', args)
      end
    else
      local has_record = with_records or letter ~= 'r'
      first = mine + (has_record and 2 or 1)
      if with_others then others = rest + 4 end
      if letter == 'h' then
        local next_claim, queue = ARGV[at], with_others and KEYS[rest] or nil
        at = at + 1
        reply = pass_ahead(mine, queue, claim, next_claim, tonumber(ttl)) or -1
      else
        local expires, tail = held(mine, claim, has_record)
        local has_queue = tail == 43
        if not expires or (letter == 'r' and has_queue and (is_guarded or not with_others)) then
          local owner, attempt = sub(claim, 1, -19), sub(claim, -16)
          if letter == 'r' then
            reply = in_full(mine, rest, 'R', { owner, attempt, 0, -1 })
          else
            reply = in_full(mine, rest, 'N', { owner, attempt, ttl })
          end
        elseif letter == 'n' then
          lengthen(mine, head, expires)
          reply = 0
        elseif has_queue then
          hand_on(mine, rest)
          reply = 0
        else
          gone[#gone + 1] = KEYS[mine]
          reply = 0
        end
      end
    end
    replies[nth] = reply
  end
end

repeat
  local is_done, failure = pcall(carry_out_simple)
  if not is_done then replies[nth] = failed(failure) end
until is_done
if gone[1] then call('DEL', unpack(gone)) end

local COUNTS = { A = 10, N = 3, R = 4, P = 15, W = 3, T = 6, F = 1, H = 3, S = 10, I = 0 }
while at <= #ARGV do
  local letters, arguments = {}, {}
  last = tonumber(ARGV[at])
  at = at + 1
  for each = 1, last do
    local args = {}
    letter = ARGV[at]
    for index = 1, COUNTS[letter] do args[index] = ARGV[at + index] end
    letters[each], arguments[each] = letter, args
    at = at + 1 + COUNTS[letter]
  end
  if found[others] == nil then
    local both = call('MGET', KEYS[others], KEYS[others + 1])
    found[others], found[others + 1] = both[1], both[2]
  end
  local is_done, done = true, nil
  if last == 1 and letters[1] == 'P' then is_done, done = pcall(pass_on, others, arguments[1]) end
  if not is_done then
    done = { failed(done) }
  elseif not done then
    general = general or machine()
    done = general(others, others + 2, found[others], found[others + 1], letters, arguments)
  end
  for _, reply in ipairs(done) do replies[#replies + 1] = reply end
  others = others + 6
end
if number ~= '0' then remember() end
replies[#replies + 1] = note
return replies
