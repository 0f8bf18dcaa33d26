-- The release of a lock that says everything itself needs no clock, since it ends with its key. Where
-- nobody holds, waits or is refused there is nothing to give back.
local lock, record = found[base + 1], found[base + 2]
if not lock and (not record or sub(record, 1, 2) == '1S') then return { { 'gone' } } end
if lock and not record and find(lock, claim, 1, true) == 1 then
  call('DEL', KEYS[base + 1])
  return 0
end

