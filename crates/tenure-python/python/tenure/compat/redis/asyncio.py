"""Stands in for redis-py's ``redis.asyncio.lock.Lock``; see `tenure.compat.redis`.

.. code-block:: python

    from tenure.compat.redis.asyncio import Lock   # was: from redis.asyncio.lock import Lock

    client.lock("report", timeout=30, lock_class=Lock)

Cancelling an ``acquire`` leaves nothing behind. After a ``release`` that was cancelled the token is
still there, as in redis-py, and the release may be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from redis.exceptions import LockError, LockNotOwnedError

from .._claim import Token
from .._claim import waiting as _run
from ._lock import LOST_AT_EXIT, NOT_ACQUIRED, Base

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Lock"]

log = logging.getLogger("tenure.compat.redis")


class Lock(Base):
    """A lock of redis-py over Tenure, for asyncio. Times are seconds."""

    _is_async = True

    async def __aenter__(self) -> Self:
        if await self.acquire():
            return self
        raise self._error(NOT_ACQUIRED)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.release()
        except LockError:
            if self.raise_on_release_error:
                raise
            log.warning(LOST_AT_EXIT)

    async def acquire(
        self,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: Token | None = None,
    ) -> bool:
        """Waits in line for the lock, and answers whether it was acquired.

        ``blocking=False`` or a ``blocking_timeout`` of 0 or less is one try. ``token`` is the value
        of the key, UTF-8 of 1 to 256 bytes; by default it is a new one. Raises ``ConnectionError``
        or ``ResponseError`` of redis-py if the server cannot be reached, or refuses.
        """
        return await _run(self._acquiring(blocking, blocking_timeout, token))

    async def locked(self) -> bool:
        """Whether anybody holds the key."""
        return await _run(self._claim().held_by_anyone())

    async def owned(self) -> bool:
        """Whether the key has this lock's token."""
        return await _run(self._owning())

    async def release(self) -> None:
        """Gives the lock back. Raises ``LockError`` if there is no token, ``LockNotOwnedError`` if
        the key has another one, or none, by now."""
        token = self._releasable()
        try:
            await _run(self._releasing(token))
        except LockNotOwnedError:
            self.local.token = None
            raise
        self.local.token = None

    def extend(self, additional_time: float, replace_ttl: bool = False) -> Awaitable[Literal[True]]:
        """Adds to the time that is left, or sets it with ``replace_ttl``.

        Raises ``LockError`` if there is no token or no timeout, ``LockNotOwnedError`` if the key
        has another token, or none, by now.
        """
        token = self._extendable("extend")
        return self._extended(token, additional_time, replace_ttl, "extend")

    def reacquire(self) -> Awaitable[Literal[True]]:
        """Sets the time that is left to the timeout. Raises as `extend`."""
        token = self._extendable("reacquire")
        assert self.timeout is not None, "it was looked at"
        return self._extended(token, self.timeout, True, "reacquire")

    async def _extended(
        self, token: Token, seconds: float, replace: bool, verb: str
    ) -> Literal[True]:
        await _run(self._extending(token, seconds, replace, verb))
        return True
