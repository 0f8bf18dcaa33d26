"""The exceptions of Tenure. Each says what happened, to which key, at which store, and what to do.
"""

from __future__ import annotations

__all__ = [
    "Busy",
    "Closed",
    "Error",
    "Forked",
    "Invalid",
    "LockLost",
    "Mismatch",
    "StoreRefused",
    "StoreUnavailable",
]


class Error(Exception):
    """The base of all exceptions of Tenure.

    ``key`` is the lock's key and ``store`` the store's name without secrets; both are ``None``
    where there is none. ``may_hold`` is ``True`` if the store may count the caller as a holder all
    the same, for the rest of the ttl at most.

    >>> import tenure
    >>> try:
    ...     tenure.connect("nosuch:store")
    ... except tenure.Error as error:
    ...     print(type(error).__name__, error.key, error.may_hold)
    Invalid None False
    """

    key: str | None
    store: str | None
    may_hold: bool

    def __init__(
        self,
        message: str,
        key: str | None = None,
        store: str | None = None,
        may_hold: bool = False,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.store = store
        self.may_hold = may_hold

    def __reduce__(self) -> tuple[type[Error], tuple[str, str | None, str | None, bool]]:
        return type(self), (str(self), self.key, self.store, self.may_hold)


class Busy(Error):
    """The time limit of the wait has passed while others held the key.

    >>> import tenure
    >>> locks = tenure.connect("memory:")
    >>> with locks.mutex("report"):
    ...     try:
    ...         locks.mutex("report", wait=0.01).acquire()
    ...     except tenure.Busy as busy:
    ...         print("others hold", busy.key)
    others hold report
    """


class LockLost(Error):
    """The lock is no longer guaranteed: stop the work that it protects.

    >>> import tenure
    >>> guard = tenure.connect("memory:").mutex("report", max_hold=0.01).acquire()
    >>> why = guard.wait_lost()
    >>> try:
    ...     guard.check()
    ... except tenure.LockLost as lost:
    ...     print(why, lost.key)
    its max_hold is over report
    """


class StoreUnavailable(Error):
    """The store cannot be reached, or failed in a way that may pass.

    >>> import tenure
    >>> from tenure.testing import World
    >>> world = World()
    >>> world.fail()
    >>> try:
    ...     world.locks.mutex("report").try_acquire()
    ... except tenure.StoreUnavailable as error:
    ...     print("try again later:", error.key)
    try again later: report
    """


class StoreRefused(Error):
    """The store refused: credentials, rights, a full disk.

    >>> import tenure
    >>> def advice(error: tenure.Error) -> str:
    ...     if isinstance(error, tenure.StoreRefused):
    ...         return "have somebody look at the store's rights and its disk"
    ...     return "try again later"
    >>> advice(tenure.StoreRefused("connect at redis://db: the password is wrong"))
    "have somebody look at the store's rights and its disk"
    """


class Invalid(Error):
    """Bad input or configuration, refused before anything was touched.

    >>> import tenure
    >>> try:
    ...     tenure.connect("memory:").mutex("report", ttl=-1)
    ... except tenure.Invalid:
    ...     print("no such time")
    no such time
    """


class Mismatch(Error):
    """The key is in use in another way: another number of permits, readers beside permits, a
    foreign value.

    >>> import tenure
    >>> locks = tenure.connect("memory:")
    >>> with locks.semaphore("render", 4):
    ...     try:
    ...         locks.semaphore("render", 8).try_acquire()
    ...     except tenure.Mismatch as error:
    ...         print(error.key, "has another limit")
    render has another limit
    """


class Closed(Error):
    """The locks of this store were closed.

    >>> import tenure
    >>> with tenure.connect("memory:") as locks:
    ...     mutex = locks.mutex("report")
    >>> try:
    ...     mutex.acquire()
    ... except tenure.Closed:
    ...     print("connect again")
    connect again
    """


class Forked(Error):
    """This process was forked after the connection was made: connect again here.

    >>> import os, tenure
    >>> locks = tenure.connect("memory:")
    >>> child = os.fork()
    >>> if child == 0:                  # in the child
    ...     try:
    ...         locks.mutex("report").acquire()
    ...     except tenure.Forked:
    ...         os._exit(7)
    >>> os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    7
    """


# Tracebacks and pickles name the classes as people import them.
for _name in __all__:
    globals()[_name].__module__ = "tenure"
