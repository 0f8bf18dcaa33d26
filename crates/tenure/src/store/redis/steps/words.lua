-- What each script begins with: words that are used often. In front of them stands what is the same
-- for all calls of a store: `retention`, how long an unused fence is remembered, in milliseconds, as
-- text; `before` and `behind`, how many bytes of a lock's name stand around its key.
local call, ask, pack, unpack_from = redis.call, redis.pcall, struct.pack, struct.unpack
local sub, find, format = string.sub, string.find, string.format

-- A time in milliseconds, as commands want it: at least one.
local function ms(micros)
  return math.max(1, math.ceil(micros / 1000))
end

-- A whole number as text. The server would write it out as a fraction, which costs more.
local function digits(number)
  return format('%d', number)
end

