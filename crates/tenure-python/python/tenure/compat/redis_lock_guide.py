"""The functions that guides to locks with Redis tell people to write, over Tenure.

.. code-block:: python

    from tenure.compat.redis_lock_guide import acquire_lock, release_lock

    token = str(uuid.uuid4())
    if acquire_lock(client, "report", token, acquire_timeout=10, lock_timeout=30):
        try:
            ...
        finally:
            release_lock(client, "report", token)

``client`` is a ``redis.Redis`` or ``redis.RedisCluster``, ``lock_name`` the key itself, and the
identifier its value. All times are seconds. Every call is one atomic step of the server, callers
wait in line, and a client that cannot be carried over is refused with `ValueError`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import LockNotOwnedError

from ._claim import Claim, Token
from ._claim import blocking as _run

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "RedisLock",
    "acquire_lock",
    "execute_with_lock",
    "extend_lock",
    "release_lock",
]

log = logging.getLogger("tenure.compat.redis_lock_guide")

T = TypeVar("T")


def acquire_lock(
    client: Any,
    lock_name: Token,
    identifier: Token,
    acquire_timeout: float = 10,
    lock_timeout: float = 10,
) -> bool:
    """Waits for the lock for ``acquire_timeout`` at most (0: one try), and answers whether it was
    acquired. The key is free after ``lock_timeout``, unless it is released or extended."""
    claim = Claim(client, lock_name, False)
    return _run(claim.acquiring(identifier, lock_timeout, acquire_timeout))


def extend_lock(
    client: Any, lock_name: Token, identifier: Token, lock_timeout: float = 10
) -> bool:
    """Lets the lock last for ``lock_timeout`` from now on; ``False`` if the key has not this
    identifier any more."""
    return _run(Claim(client, lock_name, False).extending(identifier, lock_timeout, True))


def release_lock(client: Any, lock_name: Token, identifier: Token) -> bool:
    """Gives the lock back; ``False`` if the key has not this identifier any more, and then it is
    left alone."""
    return _run(Claim(client, lock_name, False).releasing(identifier))


def execute_with_lock(
    client: Any,
    lock_name: Token,
    work: Callable[[], T],
    *,
    compensation: Callable[[BaseException], object] | None = None,
    acquire_timeout: float = 10,
    lock_timeout: float = 10,
    renew: bool = False,
) -> T:
    """Acquires, calls ``work()``, gives the lock back, and answers what the work did.

    If the work fails or the lock has ended meanwhile, ``compensation(error)`` is called before the
    lock is given back. ``renew`` renews the lock every third of ``lock_timeout`` while the work
    runs. Raises `TimeoutError` if the lock was not acquired in time, the work's own error, or
    redis-py's ``LockNotOwnedError`` if the lock ended before the work did.
    """
    claim, token = Claim(client, lock_name, False), _new_identifier()
    every = lock_timeout / 3 if renew else None
    if not _run(claim.acquiring(token, lock_timeout, acquire_timeout, every)):
        raise _too_late(claim.key, acquire_timeout)
    try:
        value = work()
        guard = claim.guard(token)
        if compensation is not None and (guard is None or not guard.held):
            raise _ended(claim.key)
    except BaseException as error:
        try:
            if compensation is not None:
                compensation(error)
        finally:
            _run(claim.releasing(token))
        raise
    if not _run(claim.releasing(token)):
        raise _ended(claim.key)
    return value


class RedisLock:
    """The class of the guides: `acquire_lock` and `release_lock` with an identifier of its own.

    ``with`` raises `TimeoutError` if the lock is not acquired in time. A lock that ended before its
    ``with`` did is logged as a warning, since guides do not raise there.
    """

    def __init__(
        self,
        client: Any,
        lock_name: Token,
        acquire_timeout: float = 10,
        lock_timeout: float = 10,
    ) -> None:
        self.client = client
        self.lock_name = lock_name
        self.acquire_timeout = acquire_timeout
        self.lock_timeout = lock_timeout
        self.identifier = _new_identifier()
        # A client that cannot be used is refused here.
        Claim(client, lock_name, False)

    def acquire(self) -> bool:
        """Waits for the lock, and answers whether it was acquired."""
        return acquire_lock(
            self.client, self.lock_name, self.identifier, self.acquire_timeout, self.lock_timeout
        )

    def release(self) -> bool:
        """Gives the lock back; ``False`` if it had ended."""
        return release_lock(self.client, self.lock_name, self.identifier)

    def __enter__(self) -> Self:
        if not self.acquire():
            raise _too_late(self.lock_name, self.acquire_timeout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.release():
            log.warning("the lock on %r had ended before its work was done", self.lock_name)


def _new_identifier() -> str:
    return str(uuid.uuid4())


def _too_late(key: Token, limit: float) -> TimeoutError:
    return TimeoutError(f"the lock on {key!r} was not acquired within {limit} s")


def _ended(key: str) -> LockNotOwnedError:
    message = f"the lock on {key!r} ended before its work was done"
    return LockNotOwnedError(message, lock_name=key)
