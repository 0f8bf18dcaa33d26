"""The asyncio class ``DistributedLock`` that many projects have, over Tenure.

.. code-block:: python

    from tenure.compat.distributed_lock import DistributedLock

    async with DistributedLock(client, "report", timeout=30, auto_renewal=True):
        ...

``redis`` is a ``redis.asyncio.Redis`` or ``redis.asyncio.RedisCluster``. `distributed_lock` and
`distributed_lock_decorator` take it as an argument, or use that of `set_client`. ``lock_name`` is
the key itself. All times are seconds. A client that cannot be carried over is refused with
`ValueError`.
"""

from __future__ import annotations

import functools
import inspect
import logging
import uuid
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from .._locked import key_of
from ._claim import Claim
from ._claim import waiting as _run

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Self, Unpack

    P = ParamSpec("P")

__all__ = [
    "DistributedLock",
    "LockOptions",
    "distributed_lock",
    "distributed_lock_decorator",
    "set_client",
]

log = logging.getLogger("tenure.compat.distributed_lock")

T = TypeVar("T")

_client: Any = None


class LockOptions(TypedDict, total=False):
    """The options of `DistributedLock`."""

    timeout: float
    retry_times: int
    retry_delay: float
    auto_renewal: bool
    renewal_interval: float | None


class DistributedLock:
    """A lock of one key.

    The lease lasts for ``timeout``; ``auto_renewal`` renews it every ``renewal_interval`` (a third
    of the timeout by default) until the release. ``retry_times`` tries with ``retry_delay`` between
    them are a limit on the time of waiting, their product; callers wait in line meanwhile.
    """

    def __init__(
        self,
        redis: Any,
        lock_name: str,
        timeout: float = 30,
        retry_times: int = 0,
        retry_delay: float = 0.1,
        auto_renewal: bool = False,
        renewal_interval: float | None = None,
    ) -> None:
        if retry_times < 0 or retry_delay < 0:
            raise ValueError("retry_times and retry_delay are 0 or more")
        if renewal_interval is not None and not auto_renewal:
            raise ValueError("renewal_interval is for auto_renewal=True")
        self.redis = redis
        self.lock_name = lock_name
        self.timeout = timeout
        self.retry_times = retry_times
        self.retry_delay = retry_delay
        self.auto_renewal = auto_renewal
        self.renewal_interval = renewal_interval
        self._token: str | None = None
        # A client that cannot be used is refused here.
        self._claim()

    def _claim(self) -> Claim:
        return Claim(self.redis, self.lock_name, True)

    async def acquire(self, blocking: bool = True) -> bool:
        """Acquires the lock, and answers whether it did. ``blocking=False`` is one try."""
        token = str(uuid.uuid4())
        wait = self.retry_times * self.retry_delay if blocking else 0
        every = (self.renewal_interval or self.timeout / 3) if self.auto_renewal else None
        acquired = await _run(self._claim().acquiring(token, self.timeout, wait, every))
        if acquired:
            self._token = token
        return acquired

    async def release(self) -> bool:
        """Gives the lock back; ``False`` if this object does not hold it any more."""
        token = self._token
        if token is None:
            return False
        released = await _run(self._claim().releasing(token))
        self._token = None
        return released

    async def extend(self, additional_time: float | None = None) -> bool:
        """Adds to the time that is left, or makes it ``timeout`` again; ``False`` if this object
        does not hold the lock any more."""
        token = self._token
        if token is None:
            return False
        if additional_time is None:
            return await _run(self._claim().extending(token, self.timeout, True))
        return await _run(self._claim().extending(token, additional_time, False))

    async def is_locked_by_anyone(self) -> bool:
        """Whether anybody holds the key."""
        return await _run(self._claim().held_by_anyone())

    async def is_locked_by_me(self) -> bool:
        """Whether this object holds the key."""
        token = self._token
        return token is not None and await _run(self._claim().holding(token))

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise RuntimeError(f"the lock on {self.lock_name!r} was not acquired: others hold it")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the lock back. One that had ended is logged as a warning."""
        if not await self.release():
            log.warning("the lock on %r had ended before its work was done", self.lock_name)


def set_client(redis: Any) -> None:
    """The client of every `distributed_lock` and decorator that names none: a client, or a function
    that answers one, which is called at each use."""
    global _client
    _client = redis


def distributed_lock(
    name: str, *, redis: Any = None, **options: Unpack[LockOptions]
) -> DistributedLock:
    """The lock of a key, for ``async with``, which raises `RuntimeError` if others hold it.

    ``redis`` is a client, or a function that answers one; by default that of `set_client`.
    """
    return DistributedLock(_client_of(redis), name, **options)


def distributed_lock_decorator(
    name: str | None = None, *, redis: Any = None, **options: Unpack[LockOptions]
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorates a coroutine function to run under a lock; a call raises `RuntimeError` if others
    hold it.

    ``{names}`` in the name stand for the function's arguments; a brace is ``{{`` or ``}}``. Without
    a name it is the function's module and name. ``redis`` is as in `distributed_lock`, and is asked
    for at each call, so a program may make its client later.
    """

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function!r} is no coroutine function")
        key = key_of(function, name)

        @functools.wraps(function)
        async def under_lock(*args: P.args, **kwargs: P.kwargs) -> T:
            async with distributed_lock(key(*args, **kwargs), redis=redis, **options):
                return await function(*args, **kwargs)

        return under_lock

    return decorate


def _client_of(redis: Any) -> Any:
    found = _client if redis is None else redis
    if found is None:
        raise ValueError("there is no client: give redis=client, or call set_client(client) once")
    return found() if callable(found) else found
