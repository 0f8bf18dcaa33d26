-- A change of the value beside a claim. A value is one word: its revision, a colon, and the text.
--
-- needs   full/holders, full/state, full/steps, full/tombstones
function OPERATIONS.V(step)
  if is_buried(step) then return { 'withdrawn' } end
  local holder = state.holders[find_holder(step)]
  if not holder then return { 'gone' } end
  if holder.fence ~= step.fence then
    return { 'mismatch', 'its lease was changed since this was sent' }
  end
  local before = tonumber(match(holder.value or '0', '^%d+'))
  local revision = tonumber(match(step.value, '^%d+'))
  if revision < before then
    return { 'mismatch', 'a later value was set since this was sent' }
  end
  if revision > before then
    holder.value, key.is_dirty = step.value, true
  end
  return { 'value_set' }
end
