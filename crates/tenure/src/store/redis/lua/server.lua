-- The script for one server: see steps.lua.

-- include prelude
-- include layout
-- include steps
