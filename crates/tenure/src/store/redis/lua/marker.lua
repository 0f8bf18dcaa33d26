-- Whether the server is another one than the sender of a call knows, as far as its marker says:
-- then it may have forgotten leases. A marker says by which run of the server it was set and when,
-- and since when the server is known (run id, blank, 16 digits, blank, 16 digits). It has no ttl.
-- It is missing when the server has forgotten, and is of another run after a restart, also after
-- one with data, of which the last may be lost.
--
-- needs   preface, layout, prelude, steps
-- gives   is_guarded
local is_guarded = has_guard
if has_guard then
  local key, value = KEYS[base], found[base]
  -- A marker of another slot is read by itself.
  if in_slots then
    key = ARGV[4]
    value = call('MGET', key)[1]
  end
  is_guarded = not (value and find(value, told, 1, true) == 1)
  if is_guarded then
    -- The answer says how the marker that stands there now begins, and for how long the server is
    -- known. It is set if there is none, or if that is of another run. A clock that is set forward
    -- does not end the guard early: a sender that has seen the marker for a shorter time by its own
    -- clock puts that right, for those to come.
    -- include clock
    local elapsed, expected = string.match(told, '^%?(%d+):(.*)$')
    local run = string.match(expected or told, '^%S+')
    local mark, since = string.match(value or '', '^(%S+ %d+ )(%d+)$')
    local begins = now
    if mark and string.match(mark, '^%S+') == run then
      begins, elapsed = math.min(tonumber(since), now), tonumber(elapsed)
      -- Two clocks agree well enough, and a request takes its time.
      local is_ahead = elapsed and mark == expected and now - begins > elapsed * 1.1 + 1000000
      if is_ahead then begins = now - elapsed end
    else
      mark = run .. format(' ' .. NUMBER .. ' ', now)
    end
    local marker = mark .. format(NUMBER, begins)
    local written = marker ~= value and ask('SET', key, marker)
    -- Without memory for it the guard goes on. Any other error concerns the whole call.
    if written and written.err and not find(written.err, 'OOM', 1, true) then
      return redis.error_reply(written.err)
    end
    answer = { 0, 0, { mark, now - begins } }
  end
end
