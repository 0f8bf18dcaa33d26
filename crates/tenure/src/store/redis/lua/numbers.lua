-- Numbers as commands want them.
--
-- needs   prelude
-- gives   pack, unpack_from, match, max, ms, digits
local pack, unpack_from, match, max = struct.pack, struct.unpack, string.match, math.max

-- A time in milliseconds, as commands want it: at least one.
local function ms(micros)
  return max(1, math.ceil(micros / 1000))
end

-- A whole number as text. The server would write it out as a fraction, which costs more.
local function digits(integer)
  return format('%d', integer)
end
