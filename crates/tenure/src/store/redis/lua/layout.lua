-- The bytes of locks and records. All fragments but full/layout.lua know them by their names alone.
--
--   claim   owner, line feed, layout (1), attempt (16 hex digits), label
--   lock    of a mutex without queue and tombstones: claim, then fence, since and expires (16
--           digits each), so that it says everything. Any other lock is the owner alone
--   plain   a lock that is the owner alone, whose lease ends with its key, whoever changes that: its
--           record has 0 for when it expires
--   record  its form, two characters, and then
--     1S    of a mutex without queue and tombstones: the lease, which is fence, since and expires
--           (doubles), and the claim of the last holder. It holds while its owner is the lock's
--     1Q    of the same with a queue: the lease, the line, which is how many wait and how many ever
--           came (doubles), and the claim
--     and those of shares_layout.lua and full/layout.lua
--
-- gives   LAYOUT, CLAIM, OWNER_END, NUMBER, NUMBERS, NUMBERS_AT, SINCE_AT, LOCK_EXPIRES_AT,
--         SINGLE, QUEUED, DOUBLE, LEASE, LEASE_AT, EXPIRES_AT, LEASE_END, LINE, LINE_AT,
--         SINGLE_CLAIM_AT, QUEUED_CLAIM_AT, NOBODY, SHARES
local LAYOUT, CLAIM = '1', '^([^\n]*)\n(%d)(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)(.*)$'
-- Where the owner ends in a claim without a label.
local OWNER_END = -19
-- At the end of a lock: fence, since, expires.
local NUMBER, NUMBERS = '%016d', '%016d%016d%016d'
local NUMBERS_AT, SINCE_AT, LOCK_EXPIRES_AT = -48, -32, -16
local SINGLE, QUEUED = '1S', '1Q'
local DOUBLE, LEASE, LEASE_AT, EXPIRES_AT, LEASE_END = '>d', '>ddd', 3, 19, 26
local LINE, LINE_AT = '>dd', 27
local SINGLE_CLAIM_AT, QUEUED_CLAIM_AT = 27, 43
-- The claim in the record of a key that nobody holds.
local NOBODY = '\n10000000000000000'
local SHARES = '1R'
