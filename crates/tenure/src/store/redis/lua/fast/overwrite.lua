-- Writes over a lock that is held. Under memory pressure a script may write what it likes once it
-- has written something.
--
-- needs   prelude
-- takes   lock_key, lock, lock_px
if ask('SET', lock_key, lock, 'PX', lock_px).err then
  call('PEXPIRE', lock_key, lock_px)
  call('SET', lock_key, lock, 'PX', lock_px)
end
