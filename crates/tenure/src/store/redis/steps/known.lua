-- What a server that grants nothing new says of its marker: how the one that stands there now
-- begins, and for how long the server is known. It sets one if there is none, or if that is of
-- another run. A clock that is set forward does not end the guard early: whoever has seen the
-- marker for a shorter time by its own clock puts that right, for those who will come.
local note
if is_guarded then
  local elapsed, expected = string.match(told, '^%?(%d+):(.*)$')
  local run = string.match(expected or told, '^%S+')
  local mark, since = string.match(found[base] or '', '^(%S+ %d+ )(%d+)$')
  local begins = now
  if mark and string.match(mark, '^%S+') == run then
    begins, elapsed = math.min(tonumber(since), now), tonumber(elapsed)
    -- Two clocks agree well enough, and a request takes its time.
    local is_ahead = elapsed and mark == expected and now - begins > elapsed * 1.1 + 1000000
    if is_ahead then begins = now - elapsed end
  else
    mark = run .. format(' %016d ', now)
  end
  local marker = mark .. format('%016d', begins)
  local written = marker ~= found[base] and ask('SET', KEYS[base], marker)
  -- Without memory for it the guard goes on. Whatever else forbids it concerns the whole call.
  if written and written.err and not find(written.err, 'OOM', 1, true) then
    return redis.error_reply(written.err)
  end
  note = { mark, now - begins }
end

