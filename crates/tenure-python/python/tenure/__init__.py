"""Distributed locks for threads and asyncio that tell you when they are lost.

A lock is a lease: it is granted for a time and renewed while you work, by a thread that needs no
interpreter. When it can no longer be guaranteed, the holder is told by its deadline. Every grant
carries a fence, a number that only grows.

>>> import tenure
>>> locks = tenure.connect("memory:")     # sqlite:PATH, redis://HOST, redis+cluster://HOSTS, …
>>> with locks.mutex("report", ttl=30, wait=10) as lock:
...     lock.check()                      # right before something that cannot be undone
...     print("fence", lock.fence > 0)
fence True

`tenure.aio` has the same names for asyncio.
"""

from . import _interpreter as _interpreter  # before anything native
from ._data import Holder, Inspection, LastRun, Leader, Node, Waiter
from ._errors import (
    Busy,
    Closed,
    Error,
    Forked,
    Invalid,
    LockLost,
    Mismatch,
    StoreRefused,
    StoreUnavailable,
)
from ._logging import log_events
from ._options import LockOptions, MutexOptions
from ._sync import (
    Election,
    Guard,
    Lock,
    Locks,
    Mutex,
    Once,
    Ran,
    Run,
    RwLock,
    Semaphore,
    connect,
    default_locks,
    set_default,
)

_default = default_locks()
all = _default.all
election = _default.election
locked = _default.locked
mutex = _default.mutex
once = _default.once
rwlock = _default.rwlock
semaphore = _default.semaphore

__all__ = [
    "Busy",
    "Closed",
    "Election",
    "Error",
    "Forked",
    "Guard",
    "Holder",
    "Inspection",
    "Invalid",
    "LastRun",
    "Leader",
    "Lock",
    "LockLost",
    "LockOptions",
    "Locks",
    "Mismatch",
    "Mutex",
    "MutexOptions",
    "Node",
    "Once",
    "Ran",
    "Run",
    "RwLock",
    "Semaphore",
    "StoreRefused",
    "StoreUnavailable",
    "Waiter",
    "all",
    "connect",
    "default_locks",
    "election",
    "locked",
    "log_events",
    "mutex",
    "once",
    "rwlock",
    "semaphore",
    "set_default",
]
