-- What the machine says where another one holds, and nobody stands in line; -1: it must be asked.
local function busy(first, claim)
  local lock, record = found[first], found[first + 1]
  if not lock or is_guarded then return -1 end
  local owner, label, since, expires, attempt, _
  if not record then
    local holder = lock_of(lock)
    if not holder then return -1 end
    owner, label, since, expires = holder[1], holder[3], holder[6], holder[7]
  elseif sub(record, 1, 2) == '1S' then
    _, since, expires = unpack_from('>ddd', record, 3)
    owner, _, attempt, label = string.match(sub(record, 27), CLAIM)
    if owner ~= lock or not attempt then return -1 end
  else
    return -1
  end
  local is_own = find(claim, owner .. '\n', 1, true) == 1
  if is_own or expires <= now then return -1 end
  return { 'busy', expires - now, label, math.max(0, now - since) }
end

