-- The first words with a guarded server, on each new connection: what its marker says.
--
-- KEYS    marker, as in marker.lua; none, if this is a cluster
-- ARGV    1 the server's run id
--         2 for how long a server is known whose marker is set now, in microseconds
--         3 of a cluster: the marker
-- answer  how the marker begins, and for how long the server is known
-- atomic  because the look and the write that rests on it must not be parted

-- include prelude
-- include layout
-- include clock
local name = KEYS[1] or ARGV[3]
local marker = call('MGET', name)[1]
local mark, since = string.match(marker or '', '^(%S+ %d+ )(%d+)$')
if not mark or string.match(mark, '^%S+') ~= ARGV[1] then
  mark, since = ARGV[1] .. format(' ' .. NUMBER .. ' ', now), now - ARGV[2]
end
-- No server is known since a time that is still to come.
since = math.max(0, math.min(tonumber(since), now))
local as_it_is = mark .. format(NUMBER, since)
if marker ~= as_it_is then call('SET', name, as_it_is) end
return { mark, now - since }
