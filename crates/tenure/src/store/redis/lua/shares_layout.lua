-- The record of shares that are held, while nobody waits and no owner is refused.
--
--   1R    the key's last fence, the limit of the shares, how many units are held, a time before
--         which no lease of theirs ends, and one after which none lasts (doubles); then each share,
--         which is its fence, since and expires (16 digits each), units (10 digits), a mark that no
--         claim has, and the claim
--
-- gives   SHARES_HEAD, SHARES_AT, SHARE, MARK, SHARE_BEGIN, SHARE_SINCE, SHARE_EXPIRES, SHARE_UNITS
local SHARES_HEAD, SHARES_AT, SHARE, MARK = '>ddddd', 43, '%016d%016d%016d%010d\1%s', '\1'
-- So far in front of its mark a share begins, and its numbers do.
local SHARE_BEGIN, SHARE_SINCE, SHARE_EXPIRES, SHARE_UNITS = 58, 42, 26, 10
