-- The last run of a job, which is kept on record: whether it is under way, and how it is told.
--
-- needs   full/holders, full/layout, full/state, prelude
-- gives   is_running, told_run

local function is_running(run)
  local index = find_holder(run)
  local holder = index and state.holders[index]
  local has_lock = holder and (holder.units < ALL or key.lock == holder.owner)
  return has_lock and holder.expires > now
end

local function told_run()
  local run = state.run
  if not run then return {} end
  local how = run.outcome
  if how == '' and is_running(run) then how = 'running' end
  return { run.owner, run.attempt, run.label, run.begun, how, run.why, run.took }
end
