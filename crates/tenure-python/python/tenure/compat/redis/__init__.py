"""Stands in for redis-py's ``redis.lock.Lock``. `tenure.compat.redis.asyncio` is the same for
asyncio.

.. code-block:: python

    from tenure.compat.redis import Lock           # was: from redis.lock import Lock

    client.lock("report", timeout=30, lock_class=Lock)

Signature, results and exceptions are redis-py's, and the key has the token as its value, so both
kinds of locks exclude each other. These differ:

- Callers wait in line, first come, first served, and are told when the lock is free. ``sleep`` is
  the time between two looks at a lock of redis-py that has no timeout, or that the same token has,
  and has no other use.
- Without a timeout the lease is 30 s long and renewed until the release or the end of the process.
  redis-py's key would stay for ever after a crash.
- A client that Tenure cannot connect like is refused by the constructor, with `ValueError`.

With a timeout nothing is renewed, as in redis-py. The lock may end before its release, and then
``release`` raises ``LockNotOwnedError``.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from redis.exceptions import LockError

from .._claim import Token
from .._claim import blocking as _run
from ._lock import LOST_AT_EXIT, NOT_ACQUIRED, Base

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Lock"]

log = logging.getLogger("tenure.compat.redis")


class Lock(Base):
    """A lock of redis-py over Tenure, for threads. Times are seconds."""

    def __enter__(self) -> Self:
        if self.acquire():
            return self
        raise self._error(NOT_ACQUIRED)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.release()
        except LockError:
            if self.raise_on_release_error:
                raise
            log.warning(LOST_AT_EXIT)

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: Token | None = None,
    ) -> bool:
        """Waits in line for the lock, and answers whether it was acquired.

        ``blocking=False`` or a ``blocking_timeout`` of 0 or less is one try. ``token`` is the value
        of the key, UTF-8 of 1 to 256 bytes; by default it is a new one. Raises ``ConnectionError``
        or ``ResponseError`` of redis-py if the server cannot be reached, or refuses.
        """
        return _run(self._acquiring(blocking, blocking_timeout, token, sleep))

    def locked(self) -> bool:
        """Whether anybody holds the key."""
        return _run(self._claim().held_by_anyone())

    def owned(self) -> bool:
        """Whether the key has this lock's token."""
        return _run(self._owning())

    def release(self) -> None:
        """Gives the lock back. Raises ``LockError`` if there is no token, ``LockNotOwnedError`` if
        the key has another one, or none, by now."""
        token = self._releasable()
        self.local.token = None
        _run(self._releasing(token))

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Literal[True]:
        """Adds to the time that is left, or sets it with ``replace_ttl``.

        Raises ``LockError`` if there is no token or no timeout, ``LockNotOwnedError`` if the key
        has another token, or none, by now.
        """
        token = self._extendable("extend")
        _run(self._extending(token, additional_time, replace_ttl, "extend"))
        return True

    def reacquire(self) -> Literal[True]:
        """Sets the time that is left to the timeout. Raises as `extend`."""
        token = self._extendable("reacquire")
        assert self.timeout is not None, "it was looked at"
        _run(self._extending(token, self.timeout, True, "reacquire"))
        return True
