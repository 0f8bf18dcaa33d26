"""A lock that is known by its key and its token, as redis-py and the guides have it. Each verb is
written once, as steps that a thread or an event loop carries out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar, Union

from redis import exceptions

from .._errors import Busy, Closed, Error, Forked, Invalid, LockLost, Mismatch, StoreUnavailable
from .._loop import run as _waited
from .._options import chosen
from .._tenure import Guard, Operation
from ._client import url_of
from ._stores import AS_IT_IS, Store, store_of

T = TypeVar("T")

Token = Union[str, bytes, int, float]
"""A key or a token; numbers are written out, as redis-py does."""

Steps = Generator[Any, Any, T]
"""Yields operations of Tenure and calls of the client, and is sent their answers."""

# A holder counts on 1 % and 2 ms less than the time of the key, since clocks differ. The caller
# asks for the time of the key, which is in whole milliseconds.
_OF_KEY = 0.99
_ROUNDING = 0.003
# Seconds by which a lease may be shorter than it was, and counts as just as long.
_AS_LONG = 0.01

# Adds milliseconds to the time that the key has left, or sets it, if the key has this token.
_EXTEND = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('pttl', KEYS[1])
if left < 0 then return 0 end
if ARGV[3] == '1' then left = 0 end
redis.call('pexpire', KEYS[1], string.format('%d', left + ARGV[2]))
return 1
"""

# Deletes the key, if it has this token.
_RELEASE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])
"""


class Pause:
    """A step that lets time pass."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Claim:
    """The locks of one client under one key."""

    __slots__ = ("client", "key", "store")

    def __init__(self, client: Any, key: Token, is_async: bool) -> None:
        self.store: Store = store_of(url_of(client, is_async))
        self.client = client
        self.key = self.text_of(key)

    def encoded(self, value: Token) -> bytes:
        """A key or a token in the bytes that the client makes of it. Raises redis-py's
        ``DataError`` for other types than redis-py sends."""
        pool = getattr(self.client, "connection_pool", None)
        return bytes((self.client if pool is None else pool).get_encoder().encode(value))

    def text_of(self, value: Token) -> str:
        """A key or a token as text. Raises `ValueError` if it is no UTF-8."""
        encoded = self.encoded(value)
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            message = f"{encoded!r} is no UTF-8: Tenure's keys and tokens are text"
            raise ValueError(message) from None

    def acquiring(
        self,
        token: Token,
        timeout: float | None,
        wait: float | None,
        every: float | None = None,
        sleep: float = 0.1,
    ) -> Steps[bool]:
        """Acquires within ``wait`` seconds (``None``: no limit; 0 or less: one try).

        The lease lasts for ``timeout`` seconds, and is renewed if ``every`` says how often. Without
        a timeout it is renewed until the release or the end of the process. Two holders cannot be
        waited for in line, and are looked at every ``sleep`` seconds: one with the same token, and
        one of others whose key has no end.
        """
        yield from self._forget_some()
        owner = self.text_of(token)
        until = None if wait is None else time.monotonic() + wait
        mismatches = 0
        by_looks = False
        while True:
            left = None if until is None else until - time.monotonic()
            try:
                # Where the token has the lock, one try looks whether it is free by now.
                guard = yield from self._granted(owner, timeout, 0 if by_looks else left, every)
            except Mismatch:
                # A key without an end may have gone between the two looks, once.
                mismatches += 1
                if not (yield from self._has_no_end()):
                    if mismatches > 1:
                        raise
                    continue
                mismatches = 0
                guard, by_looks = None, True
            except Invalid:
                # The token has the lock, or an option is wrong: then one try says so again.
                if by_looks or (left is not None and left <= 0):
                    raise
                by_looks = True
                continue
            if guard is not None:
                has_timeout = every is None and timeout is not None
                self.store.keep(self.key, owner, guard, has_timeout)
                return True
            if not by_looks or (left is not None and left <= 0):
                return False
            by_looks = False
            yield Pause(sleep if left is None else min(sleep, left))

    def _forget_some(self) -> Steps[None]:
        """Forgets leases that are over. One that another process has let last longer stays, since
        to forget it is to give it back."""
        for key, token in self.store.over():
            try:
                stored = yield self.client.get(key)
            except exceptions.RedisError:
                continue
            if stored is None or self.encoded(stored) != token.encode():
                self.store.take(key, token)

    def _has_no_end(self) -> Steps[bool]:
        """Whether the key is a string of others that stays for ever. Another type is an error of
        redis-py."""
        value = yield self.client.get(self.key)
        return value is not None and (yield self.client.ttl(self.key)) == -1

    def _granted(
        self, owner: str, timeout: float | None, wait: float | None, every: float | None
    ) -> Steps[Guard | None]:
        if wait is not None and wait <= 0:
            lock = self.store.mutex(self.key, owner, timeout, None, every)
            granted: Guard | None = yield lock.try_acquire()
            return granted
        try:
            granted = yield self.store.mutex(self.key, owner, timeout, wait, every).acquire()
        except Busy:
            return None
        return granted

    def releasing(self, token: Token) -> Steps[bool]:
        """Gives back what has this token, whichever process acquired it."""
        owner = self.text_of(token)
        guard = self.store.take(self.key, owner)
        if guard is not None:
            released = yield guard.release()
        else:
            released = yield self.store.native.release_owner(self.key, owner)
        if released == "released":
            return True
        # Others may have set the token, or let it last longer: the value alone decides.
        return bool((yield self.client.eval(_RELEASE, 1, self.key, token)))

    def extending(self, token: Token, seconds: float, replace: bool) -> Steps[bool]:
        """Adds seconds to the time that is left of what has this token, or sets it."""
        owner = self.text_of(token)
        guard = self.store.guard(self.key, owner)
        if guard is not None and guard.held:
            left = guard.remaining
            span = seconds * _OF_KEY if replace else left + seconds * _OF_KEY
            span -= _ROUNDING
            try:
                if span > left - _AS_LONG:
                    yield guard.extend_to(max(span, AS_IT_IS))
                    return True
                # A guard does not get shorter. From here on the value alone decides.
                self.store.take(self.key, owner)
                yield guard.hand_over(AS_IT_IS)
            except LockLost:
                # Others may have let it last longer.
                pass
        milliseconds, how = int(seconds * 1000), "1" if replace else "0"
        answer = yield self.client.eval(_EXTEND, 1, self.key, token, milliseconds, how)
        return bool(answer)

    def holding(self, token: Token) -> Steps[bool]:
        """Whether the key has this token."""
        stored = yield self.client.get(self.key)
        return stored is not None and self.encoded(stored) == self.encoded(token)

    def held_by_anyone(self) -> Steps[bool]:
        """Whether anybody holds the key."""
        native, _ = chosen({}, "ignore")
        return bool((yield self.store.native.mutex(self.key, native).held_by_anyone()))

    def guard(self, token: Token) -> Guard | None:
        """The lease with this token, if this process has it."""
        return self.store.guard(self.key, self.text_of(token))


def blocking(steps: Steps[T]) -> T:
    """Carries the steps out in this thread; calls of the client have been made already."""
    try:
        step = next(steps)
        while True:
            try:
                answer = _done(step)
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except Error as error:
        raise _as_redis(error) from error


def _done(step: Any) -> Any:
    if isinstance(step, Operation):
        return step.wait()
    return time.sleep(step.seconds) if isinstance(step, Pause) else step


def _begun(step: Any) -> Awaitable[Any]:
    if isinstance(step, Operation):
        return _waited(step)
    return asyncio.sleep(step.seconds) if isinstance(step, Pause) else step


async def waiting(steps: Steps[T]) -> T:
    """Carries the steps out on the running event loop."""
    try:
        step = next(steps)
        while True:
            try:
                answer = await _begun(step)
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except Error as error:
        raise _as_redis(error) from error


def _as_redis(error: Error) -> Exception:
    """The error as a program that uses redis-py expects it."""
    if isinstance(error, Invalid):
        return ValueError(str(error))
    if isinstance(error, (StoreUnavailable, Closed, Forked)):
        return exceptions.ConnectionError(str(error))
    return exceptions.ResponseError(str(error))
