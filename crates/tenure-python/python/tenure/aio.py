"""The names of `tenure` for asyncio (uvloop too). No call blocks the loop.

When a lock is lost, the body of its scope is cancelled at the deadline, and the ``async with``
raises `LockLost`. ``on_lost="raise"`` lets the body end first; ``on_lost="ignore"`` lets finished
work stand. An error of the body itself comes first, with the loss as its context.

Cancelling a task at any ``await`` here leaves nothing behind: a wait is withdrawn, and a release
goes on in the background.

>>> import asyncio, tenure.aio
>>> async def main():
...     locks = tenure.aio.connect("memory:")
...     async with locks.mutex("report", ttl=30, wait=10) as lock:
...         return lock.fence > 0
>>> asyncio.run(main())
True
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import _scope, _tenure
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
from ._lease import Lease
from ._locked import F
from ._loop import Bridge, bridge
from ._loop import run as _run
from ._options import (
    MUTEX_NAMES,
    LockOptions,
    MutexOptions,
    OnLost,
    Seconds,
    chosen,
    count,
    several,
)
from ._sync import Locks as _Blocking
from ._sync import Ran, _locked

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

T = TypeVar("T")
Page = list[tuple[str, Inspection]]


class Lost:
    """The loss of a lock: awaited, it answers why the lock is lost, or ``it was given back``.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     guard = await locks.mutex("report", max_hold=0.01).acquire()
    ...     return await guard.lost
    >>> asyncio.run(main())
    'its max_hold is over'
    """

    __slots__ = ("_native",)

    def __init__(self, native: _tenure.Guard) -> None:
        self._native = native

    def __await__(self) -> Generator[Any, Any, str]:
        return _run(self._native.lost()).__await__()


class Guard(Lease):
    """A lock that is held, until `release`, the end of its scope, or a loss.

    A guard that is forgotten is released when it is collected.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     guard = await locks.mutex("report", ttl=10).acquire()
    ...     guard.check()           # right before something that cannot be undone
    ...     return await guard.release()
    >>> asyncio.run(main())
    'released'
    """

    __slots__ = ()

    @property
    def lost(self) -> Lost:
        """Awaited, it ends when the lock is lost or given back, and answers why."""
        return Lost(self._native)

    async def extend_to(self, span: Seconds) -> None:
        """Makes the lease last for so long from now on. Raises `LockLost`, `Invalid` or the store's
        failure."""
        await _run(self._native.extend_to(span))

    async def extend_by(self, span: Seconds) -> None:
        """Makes the lease last for so much longer than now. Raises as `extend_to`."""
        await _run(self._native.extend_by(span))

    async def release(self) -> str:
        """Gives the lock back: ``"released"``; ``"gone"`` if there was no such lease any more;
        ``"others"`` if another holds the key, which is left alone.

        If the store cannot be reached it raises `StoreUnavailable`, and the release goes on in the
        background until the lease has ended. A second release raises `Invalid`.
        """
        return await _run(self._native.release())

    async def hand_over(self, keep: Seconds = 30) -> str:
        """Ends this guard without a release, and answers a ticket: a text with which another task,
        process or host becomes the holder (`Locks.adopt`) within ``keep`` seconds, or the time that
        the lease has left if that is longer. A cancelled call releases, or leaves a ticket that
        nobody knows and whose time ends."""
        return await _run(self._native.hand_over(keep))

    async def downgrade(self) -> None:
        """Makes a reader of a writer, without a gap. For guards of `Locks.rwlock` alone."""
        await _run(self._native.downgrade())

    async def try_upgrade(self) -> bool:
        """Makes a writer of a reader that is alone; ``False`` if others read."""
        return await _run(self._native.try_upgrade())

    async def set_value(self, value: str) -> None:
        """Changes the value beside a leadership, at most 4 KiB. For guards of `Election` alone."""
        await _run(self._native.set_value(value))


class _Scope:
    """The body of one ``async with``. It cancels its task when the lock is lost."""

    __slots__ = ("bridge", "cancels", "guard", "is_cancelled", "number", "task")

    def __init__(self, guard: Guard, on_lost: OnLost, task: asyncio.Task[Any]) -> None:
        self.guard = guard
        self.task = task
        self.is_cancelled = False
        self.number: int | None = None
        if on_lost == "cancel":
            self.bridge: Bridge = bridge()
            self.cancels = self._cancellations()
            self.number = self.bridge.watch(guard._native.lost(), self._cancel)
            if self.number is None:
                # It was lost before the scope began.
                self._cancel()

    def _cancellations(self) -> int:
        """The cancellations of the task that nobody took back; CPython 3.10 does not count them."""
        return self.task.cancelling() if hasattr(self.task, "cancelling") else 0

    def _cancel(self) -> None:
        self.number = None
        if _scope.loss(self.guard._native) is not None:
            self.is_cancelled = True
            self.task.cancel()

    async def leave(self, body: BaseException | None, on_lost: OnLost) -> None:
        """Ends the scope, whose body ended with `body`."""
        if self.number is not None:
            self.bridge.forget(self.number)
        is_ours = self.is_cancelled and await self._take_cancellation_back(body)
        native = self.guard._native
        if native.given_back:
            # By the body itself, and that is no loss.
            return
        lost = _scope.loss(native)
        released = None
        if lost is not None:
            # The rest of the lease is given back in the background.
            native.drop_guard()
        else:
            try:
                released = await _run(native.release())
            except Error as error:
                _scope.release_failed(native, error)
        verdict = _scope.verdict(native, lost, released, None if is_ours else body, on_lost)
        if verdict is not None:
            raise verdict from None

    async def _take_cancellation_back(self, body: BaseException | None) -> bool:
        """Whether the body was ended by our cancellation alone."""
        is_last = True
        if hasattr(self.task, "uncancel"):
            is_last = self.task.uncancel() <= self.cancels
        if body is None and is_last:
            # The body was faster; the cancellation comes at the next await.
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                if self._cancellations() > self.cancels:
                    # Another one, from outside.
                    raise
        return is_last and isinstance(body, asyncio.CancelledError)


class Lock:
    """What all kinds of locks have in common. Nothing is asked of the store before a verb is
    called. One lock may be used by many tasks; each scope is a claim of its own.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     lock = locks.all(["a", "b"])
    ...     async with lock as guard:
    ...         return await lock.try_acquire() is None, guard.keys
    >>> asyncio.run(main())
    (True, ['a', 'b'])
    """

    def __init__(self, native: _tenure.Lock, on_lost: OnLost) -> None:
        self._native = native
        self._on_lost: OnLost = on_lost
        self._scopes: _scope.Scopes[_Scope] = _scope.Scopes()

    async def acquire(self) -> Guard:
        """Waits in line for the lock.

        Raises `Busy` when ``wait`` has passed, `Mismatch` if the key is in use in another way,
        `Invalid`, `StoreUnavailable` or `StoreRefused`. Cancelling withdraws the claim and leaves
        nothing behind; nor does a lost reply.
        """
        return Guard(await _run(self._native.acquire()))

    async def try_acquire(self) -> Guard | None:
        """Acquires the lock if that needs no waiting; ``None`` if others hold it."""
        native = await _run(self._native.try_acquire())
        return None if native is None else Guard(native)

    def __aenter__(self) -> Awaitable[Guard]:
        # The frame of the `async with`.
        return self._enter(sys._getframe(1))

    async def _enter(self, frame: object) -> Guard:
        guard = Guard(await _run(self._native.acquire()))
        task = asyncio.current_task()
        assert task is not None, "an await is in a task"
        self._scopes.enter(frame, task, _Scope(guard, self._on_lost, task))
        return guard

    def __aexit__(
        self,
        kind: type[BaseException] | None,
        body: BaseException | None,
        trace: TracebackType | None,
    ) -> Awaitable[None]:
        scope = self._scopes.leave(sys._getframe(1), asyncio.current_task())
        return scope.leave(body, self._on_lost)

    async def run(
        self,
        work: Callable[[Guard], Awaitable[T]],
        *,
        compensation: Callable[[Guard, BaseException], Awaitable[object]] | None = None,
    ) -> T:
        """Acquires, awaits ``work(guard)``, gives the lock back, and answers what the work did.

        If the work fails or the lock is lost, ``compensation(guard, error)`` is awaited before the
        lock is given back, so that no other holder sees half-done work. Raises what `acquire`
        raises, the work's own error, or `LockLost` if the lock was lost meanwhile.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     async def work(guard):
        ...         return 1 + 1
        ...     return await tenure.aio.connect("memory:").mutex("sum").run(work)
        >>> asyncio.run(main())
        2
        """
        async with self as guard:
            try:
                value = await work(guard)
                if compensation is not None and self._on_lost != "ignore":
                    guard.check()
            except BaseException as error:
                if compensation is not None:
                    failure = error
                    if isinstance(error, asyncio.CancelledError):
                        failure = _scope.loss(guard._native) or error
                    await _shielded(compensation(guard, failure))
                raise
        return value


async def _shielded(work: Awaitable[object]) -> None:
    """Awaits work that the cancellation of this task does not end."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


class _OneKey(Lock):
    """A lock of one key."""

    async def held_by_anyone(self) -> bool:
        """Whether anybody holds the key, a foreign value included."""
        return await _run(self._native.held_by_anyone())

    async def held_by_me(self) -> bool:
        """Whether the owner value of this lock holds the key, in whichever process. Raises
        `Invalid` without the option ``owner``: without it each grant has a value of its own."""
        return await _run(self._native.held_by_me())

    async def inspect(self) -> Inspection:
        """The state of the key: holders, waiters, fence."""
        return await _run(self._native.inspect())

    async def force_release(self) -> int:
        """Takes the key away from all its holders, which are told at their next renewal; answers
        how many there were."""
        return await _run(self._native.force_release())

    async def adopt(self, ticket: str) -> Guard:
        """Becomes the holder of what `Guard.hand_over` gave away. A ticket serves once."""
        return Guard(await _run(self._native.adopt(ticket)))


class Mutex(_OneKey):
    """One holder at a time. Made by `Locks.mutex`.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     async with locks.mutex("report", wait=10) as lock:
    ...         return await locks.mutex("report").try_acquire() is None
    >>> asyncio.run(main())
    True
    """

    async def steal(self) -> Guard:
        """Takes the lock away from its holder, which is told at its next renewal, and holds it."""
        return Guard(await _run(self._native.steal()))


class Semaphore(_OneKey):
    """A number of permits, of which each claim takes some. Made by `Locks.semaphore`.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     async with locks.semaphore("render", 4, units=3):
    ...         return await locks.semaphore("render", 4, units=2).try_acquire() is None
    >>> asyncio.run(main())
    True
    """

    async def set_permits(self, permits: int) -> int | None:
        """Changes the number of permits while some are taken; answers the number before."""
        return await _run(self._native.set_permits(count(permits)))


class RwLock:
    """Many readers or one writer. Made by `Locks.rwlock`.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     prices = locks.rwlock("prices")
    ...     async with prices.read(), prices.read():
    ...         return await prices.write().try_acquire() is None
    >>> asyncio.run(main())
    True
    """

    def __init__(self, make: Callable[[bool], _OneKey]) -> None:
        self._make = make

    def read(self) -> _OneKey:
        """The lock of a reader."""
        return self._make(False)

    def write(self) -> _OneKey:
        """The lock of the writer."""
        return self._make(True)


class Election:
    """At most one leader. Made by `Locks.election`.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     election = tenure.aio.connect("memory:").election("primary")
    ...     async with election.campaign("host-1"):
    ...         async for leader in election.observe():
    ...             return leader.value
    >>> asyncio.run(main())
    'host-1'
    """

    def __init__(self, make: Callable[[str], _OneKey]) -> None:
        self._make = make

    def campaign(self, value: str = "") -> _OneKey:
        """The lock of the leader. ``value``, at most 4 KiB, is what others see beside it."""
        return self._make(value)

    async def leader(self) -> Leader | None:
        """The leader now; ``None`` if there is none."""
        return await _run(self._make("")._native.leader())

    async def observe(self, interval: Seconds | None = None) -> AsyncIterator[Leader | None]:
        """The leaders, one after the other; the first at once. ``interval`` is the time between two
        looks where the store cannot tell of changes."""
        stream = await _run(self._make("")._native.observe(interval))
        async for leader in _items(stream):
            yield leader


class Run(Guard):
    """A run of a job, which `finish` ends. A run that is given back unfinished counts as failed.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     job = locks.once("poll", every=300)
    ...     run = await job.begin()
    ...     await run.finish(failed="the disk is full")
    ...     return (await job.last()).why
    >>> asyncio.run(main())
    'the disk is full'
    """

    __slots__ = ()

    async def finish(self, failed: str | None = None) -> None:
        """Ends the run, with why it failed, if it did."""
        await _run(self._native.finish(failed))


class Once:
    """A job that runs once per tick, whichever host comes first. Made by `Locks.once`.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     job = tenure.aio.connect("memory:").once("nightly", every=3600)
    ...     async def work(run):
    ...         return "done"
    ...     return (await job.run(work)).value, (await job.run(work)).ran
    >>> asyncio.run(main())
    ('done', False)
    """

    def __init__(self, native: _tenure.Lock) -> None:
        self._native = native

    async def begin(self) -> Run | LastRun:
        """Begins the run of this tick; a `LastRun` if that was begun before."""
        begun = await _run(self._native.acquire())
        return Run(begun) if isinstance(begun, _tenure.Guard) else begun

    async def run(self, work: Callable[[Run], Awaitable[T]]) -> Ran[T]:
        """Awaits ``work(run)`` if this tick's run is ours. The work's error is on record and raised
        again; `LockLost` if the lock was lost meanwhile."""
        begun = await self.begin()
        if isinstance(begun, LastRun):
            return Ran(False, None, begun)
        try:
            value = await work(begun)
            begun.check()
        except BaseException as error:
            try:
                await _shielded(begun.finish(f"{type(error).__name__}: {error}"))
            except Error as second:
                _scope.release_failed(begun._native, second)
            raise
        await begun.finish()
        return Ran(True, value, None)

    async def last(self) -> LastRun | None:
        """The last run; ``None`` if there is no record."""
        return await _run(self._native.last())

    async def inspect(self) -> Inspection:
        """The state of the key."""
        return await _run(self._native.inspect())


class Locks:
    """All locks of one store. Made by `connect`; for any number of loops and tasks.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     locks = tenure.aio.connect("memory:")
    ...     held = await locks.mutex("a").acquire(), await locks.mutex("b").acquire()
    ...     return [key async for key, seen in locks.list_all()]
    >>> asyncio.run(main())
    ['a', 'b']
    """

    def __init__(self, native: _tenure.Locks) -> None:
        self._native = native

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def blocking(self) -> _Blocking:
        """The same locks for threads."""
        return _Blocking(self._native)

    async def store(self) -> str:
        """The store's name, without secrets. It opens the store, and so raises what that raises."""
        return await _run(self._native.store_name())

    def mutex(self, key: str, **options: Unpack[MutexOptions]) -> Mutex:
        """One holder at a time, first come, first served. See `MutexOptions`.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     locks = tenure.aio.connect("memory:")
        ...     async with locks.mutex("report", ttl=30, wait=10) as lock:
        ...         return lock.key
        >>> asyncio.run(main())
        'report'
        """
        native, on_lost = chosen(dict(options), "cancel", MUTEX_NAMES)
        return Mutex(self._native.mutex(key, native), on_lost)

    def semaphore(
        self, key: str, permits: int, *, units: int = 1, **options: Unpack[LockOptions]
    ) -> Semaphore:
        """``permits`` permits, of which each claim takes ``units``. A quorum refuses it.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     locks = tenure.aio.connect("memory:")
        ...     async with locks.semaphore("render", 4, units=2) as lock:
        ...         return lock.held
        >>> asyncio.run(main())
        True
        """
        native, on_lost = chosen(dict(options), "cancel")
        lock = self._native.semaphore(key, count(permits), count(units), native)
        return Semaphore(lock, on_lost)

    def rwlock(self, key: str, **options: Unpack[LockOptions]) -> RwLock:
        """Many readers or one writer. A quorum refuses it.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     locks = tenure.aio.connect("memory:")
        ...     async with locks.rwlock("prices").write() as lock:
        ...         await lock.downgrade()
        ...         return (await locks.rwlock("prices").read().try_acquire()).held
        >>> asyncio.run(main())
        True
        """
        native, on_lost = chosen(dict(options), "cancel")
        return RwLock(lambda writes: _OneKey(self._native.rwlock(key, writes, native), on_lost))

    def election(self, key: str, **options: Unpack[LockOptions]) -> Election:
        """At most one leader, whose term is the fence.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     locks = tenure.aio.connect("memory:")
        ...     async with locks.election("primary").campaign("host-1") as lock:
        ...         await lock.set_value("host-1, warmed up")
        ...         return (await locks.election("primary").leader()).value
        >>> asyncio.run(main())
        'host-1, warmed up'
        """
        native, on_lost = chosen(dict(options), "cancel")
        return Election(lambda value: _OneKey(self._native.election(key, value, native), on_lost))

    def all(self, keys: Iterable[str], **options: Unpack[LockOptions]) -> Lock:
        """Several keys at once, held together or not at all; no order can make a deadlock.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     locks = tenure.aio.connect("memory:")
        ...     async with locks.all(["account:3", "account:7"]) as both:
        ...         return sorted(both.fences)
        >>> asyncio.run(main())
        ['account:3', 'account:7']
        """
        native, on_lost = chosen(dict(options), "cancel")
        return Lock(self._native.all(several(keys), native), on_lost)

    def once(
        self,
        key: str,
        *,
        every: Seconds | None = None,
        since_last_run: bool = False,
        retry_failed: bool = False,
        **options: Unpack[LockOptions],
    ) -> Once:
        """A job that runs once per tick of ``every`` seconds, counted from 1970 or, with
        ``since_last_run``, from the last run. ``retry_failed`` runs it again in the same tick if it
        has failed. Of the options it takes ``ttl``, ``renew``, ``max_hold`` and ``label``.

        >>> import asyncio, tenure.aio
        >>> async def main():
        ...     locks = tenure.aio.connect("memory:")
        ...     async def work(run):
        ...         return "done"
        ...     return (await locks.once("poll", every=300).run(work)).value
        >>> asyncio.run(main())
        'done'
        """
        blocking = self.blocking.once(
            key,
            every=every,
            since_last_run=since_last_run,
            retry_failed=retry_failed,
            **options,
        )
        return Once(blocking._native)

    def locked(self, key: str | None = None, **options: Unpack[MutexOptions]) -> Callable[[F], F]:
        """Decorates a coroutine function, or a function, to run under a mutex.

        ``{names}`` in the key stand for the function's arguments. Without a key it is the
        function's module and name: name the key where two programs share it.

        >>> import asyncio, tenure.aio
        >>> locks = tenure.aio.connect("memory:")
        >>> @locks.locked("stock:{item}", wait=10)
        ... async def buy(item):
        ...     return await locks.mutex("stock:book").held_by_anyone()
        >>> asyncio.run(buy("book"))
        True
        """
        return _locked(self._native, key, dict(options))

    async def list(self, prefix: str = "", after: str | None = None, limit: int = 100) -> Page:
        """The first ``limit`` keys with this prefix after the key ``after``, with their states, in
        the order of their names."""
        return await _run(self._native.list(prefix, after, limit))

    async def list_all(self, prefix: str = "") -> AsyncIterator[tuple[str, Inspection]]:
        """All keys with this prefix, with their states; asked for page by page."""
        async for item in _items(await _run(self._native.list_all(prefix))):
            yield item

    async def watch(
        self, key: str, interval: Seconds | None = None
    ) -> AsyncIterator[Inspection]:
        """The states of a key: the first at once, then each change. ``interval`` is the time
        between two looks where the store cannot tell of changes."""
        async for seen in _items(await _run(self._native.watch(key, interval))):
            yield seen

    async def adopt(self, ticket: str) -> Guard:
        """Becomes the holder of what `Guard.hand_over` gave away. A ticket serves once."""
        return Guard(await _run(self._native.adopt(ticket)))

    async def release_owner(self, key: str, owner: str) -> str:
        """Releases what is held with a fixed owner value; answers as `Guard.release`."""
        return await _run(self._native.release_owner(key, owner))

    async def close(self, limit: Seconds = 5) -> None:
        """Waits for the releases in the background, for ``limit`` seconds at most, and ends every
        lock that is still held."""
        await _run(self._native.close(limit))


async def _items(stream: _tenure.Stream) -> AsyncIterator[Any]:
    while True:
        item = await _run(stream.next())
        if item is None:
            return
        yield item[0]


def connect(url: str, *, store_timeout: Seconds | None = None) -> Locks:
    """The locks of a store, which is opened at their first use; a failure to open it is that use's
    error, and the next use tries again. The URLs are those of `tenure.connect`.

    ``store_timeout`` (default 5 s) is the time limit of one call of the store and of the first
    contact. To meet a bad URL at once, ``await locks.store()``.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     async with tenure.aio.connect("memory:") as locks:
    ...         return await locks.store()
    >>> asyncio.run(main())
    'memory'
    """
    return Locks(_tenure.connect_later(url, store_timeout))


def default_locks() -> Locks:
    """The locks of the default store, see `tenure.default_locks`. `mutex`, `semaphore`, `rwlock`,
    `election`, `all`, `once` and `locked` of this module are its methods.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     await tenure.aio.set_default(tenure.aio.connect("memory:"))
    ...     async with tenure.aio.default_locks().mutex("report") as lock:
    ...         return lock.held
    >>> asyncio.run(main())
    True
    """
    return Locks(_tenure.default_locks())


async def set_default(locks: Locks) -> None:
    """Makes the store of ``locks`` the default one of this process.

    >>> import asyncio, tenure.aio
    >>> async def main():
    ...     await tenure.aio.set_default(tenure.aio.connect("memory:"))
    ...     async with tenure.aio.mutex("report") as lock:
    ...         return lock.held
    >>> asyncio.run(main())
    True
    """
    if not isinstance(locks, Locks):
        raise Invalid(f"give what tenure.aio.connect answers, not {locks!r}")
    await _run(_tenure.set_default(locks._native))


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
    "Lost",
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
    "mutex",
    "once",
    "rwlock",
    "semaphore",
    "set_default",
]
