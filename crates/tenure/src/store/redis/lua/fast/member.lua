-- One key of a group was asked for. The answer of the group is that of its last key: one fence if
-- all have the same.
--
-- needs   fast, steps
local fences, left_out = group.fences, group.last - nth
if reply and group.is_free then
  fences[#fences + 1] = reply
  group.has_others = group.has_others or reply ~= fences[1]
  reply = nil
  if left_out == 0 then
    reply = group.has_others and { 'all_granted', unpack(fences) } or fences[1]
    group = nil
  end
else
  -- It is the first that cannot be had, and none is taken.
  if reply then reply = { 'blocked', group.place, reply } end
  nth, at, first = group.last, at + left_out, first + 2 * left_out
  group = nil
end
