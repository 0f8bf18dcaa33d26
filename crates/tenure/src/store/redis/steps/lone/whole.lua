-- The release of a lock that says everything itself needs no clock, since it ends with its key. A
-- key without a lock and without a record has nothing to give back.
if not found[2] then
  if not found[1] then return { { 'gone' } } end
  if find(found[1], claim, 1, true) == 1 then
    call('DEL', KEYS[1])
    return 0
  end
end

