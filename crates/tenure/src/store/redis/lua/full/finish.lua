-- The end of a run: a release, and the outcome on record.
--
-- needs   full, full/holders, full/release, full/state, prelude
function finish(step)
  local run = state.run
  local is_own = run and run.owner == step.owner and run.attempt == step.attempt
  local was_ended = is_own and run.outcome ~= ''
  local ends = is_own and not was_ended and find_holder(step)
  local reply = give_back(step, 0, step.tombstone)
  if ends then
    run.outcome, run.why, run.took = step.outcome, step.why, max(0, now - run.begun)
    state.run_before, key.is_dirty = nil, true
  end
  return (ends or was_ended) and { 'finished' } or reply
end
