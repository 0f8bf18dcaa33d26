-- Whether the server is another one than the sender of a call knows, as far as its marker says:
-- then it may have forgotten leases. A marker says by which run of the server it was set and when,
-- and since when the server is known (run id, blank, 16 digits, blank, 16 digits). It has no ttl. It
-- is missing when the server has forgotten, and is of another run after a restart, also after one
-- with data, of which the last may be lost.
local is_guarded = told ~= '0' and not (found[base] and find(found[base], told, 1, true) == 1)

