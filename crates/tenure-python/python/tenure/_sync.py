"""The names of `tenure`: locks for threads. Each call blocks its thread, without the interpreter.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _scope, _tenure
from ._data import Inspection, LastRun, Leader
from ._errors import Busy, Error, Invalid, LockLost
from ._lease import Lease
from ._locked import F, decorator
from ._options import MUTEX_NAMES, OnLost, Seconds, chosen, count, several

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._options import LockOptions, MutexOptions

T = TypeVar("T")
Page = list[tuple[str, Inspection]]


class Guard(Lease):
    """A lock that is held, until `release`, the end of its scope, or a loss.

    A guard that is forgotten is released when it is collected. It may be used by every thread.

    >>> import tenure
    >>> locks = tenure.connect("memory:")
    >>> guard = locks.mutex("report", ttl=10).acquire()
    >>> guard.check()               # right before something that cannot be undone
    >>> 9 < guard.remaining <= 10
    True
    >>> guard.release()
    'released'
    """

    __slots__ = ()

    def wait_lost(self) -> str:
        """Blocks until the lock is lost or given back, and answers why."""
        return self._native.lost().wait()

    def extend_to(self, span: Seconds) -> None:
        """Makes the lease last for so long from now on. Raises `LockLost`, `Invalid` or the store's
        failure."""
        self._native.extend_to(span).wait()

    def extend_by(self, span: Seconds) -> None:
        """Makes the lease last for so much longer than now. Raises as `extend_to`."""
        self._native.extend_by(span).wait()

    def release(self) -> str:
        """Gives the lock back: ``"released"``; ``"gone"`` if there was no such lease any more;
        ``"others"`` if another holds the key, which is left alone.

        If the store cannot be reached it raises `StoreUnavailable`, and the release goes on in the
        background until the lease has ended. A second release raises `Invalid`.
        """
        return self._native.release().wait()

    def hand_over(self, keep: Seconds = 30) -> str:
        """Ends this guard without a release, and answers a ticket: a text with which another
        thread, process or host becomes the holder (`Locks.adopt`) within ``keep`` seconds.

        >>> import tenure
        >>> locks = tenure.connect("memory:")
        >>> ticket = locks.mutex("order:7").acquire().hand_over(keep=60)
        >>> locks.adopt(ticket).release()
        'released'
        """
        return self._native.hand_over(keep).wait()

    def downgrade(self) -> None:
        """Makes a reader of a writer, without a gap. For guards of `Locks.rwlock` alone."""
        self._native.downgrade().wait()

    def try_upgrade(self) -> bool:
        """Makes a writer of a reader that is alone; ``False`` if others read."""
        return self._native.try_upgrade().wait()

    def set_value(self, value: str) -> None:
        """Changes the value beside a leadership, at most 4 KiB. For guards of `Election` alone."""
        self._native.set_value(value).wait()


class Lock:
    """What all kinds of locks have in common. Nothing is asked of the store before a verb is
    called. One lock may be used by many threads; each scope is a claim of its own.

    >>> import tenure
    >>> lock: tenure.Lock = tenure.connect("memory:").all(["a", "b"])
    >>> with lock as guard:
    ...     lock.try_acquire() is None, guard.keys
    (True, ['a', 'b'])
    """

    def __init__(self, native: _tenure.Lock, on_lost: OnLost) -> None:
        self._native = native
        self._on_lost: OnLost = on_lost
        self._scopes: _scope.Scopes[Guard] = _scope.Scopes()

    def acquire(self) -> Guard:
        """Waits in line for the lock.

        Raises `Busy` when ``wait`` has passed, `Mismatch` if the key is in use in another way,
        `Invalid`, `StoreUnavailable` or `StoreRefused`. Ctrl-C ends the wait within 0.1 s and
        leaves nothing behind; nor does a lost reply.
        """
        return Guard(self._native.acquire().wait())

    def try_acquire(self) -> Guard | None:
        """Acquires the lock if that needs no waiting; ``None`` if others hold it."""
        native = self._native.try_acquire().wait()
        return None if native is None else Guard(native)

    def __enter__(self) -> Guard:
        guard = self.acquire()
        self._scopes.enter(sys._getframe(1), threading.get_ident(), guard)
        return guard

    def __exit__(
        self,
        kind: type[BaseException] | None,
        body: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        guard = self._scopes.leave(sys._getframe(1), threading.get_ident())
        _leave(guard, body, self._on_lost)

    def run(
        self,
        work: Callable[[Guard], T],
        *,
        compensation: Callable[[Guard, BaseException], object] | None = None,
    ) -> T:
        """Acquires, calls ``work(guard)``, gives the lock back, and answers what the work did.

        If the work fails or the lock is lost, ``compensation(guard, error)`` is called before the
        lock is given back, so that no other holder sees half-done work. Raises what `acquire`
        raises, the work's own error, or `LockLost` if the lock was lost meanwhile.

        >>> import tenure
        >>> tenure.connect("memory:").mutex("sum").run(lambda guard: 1 + 1)
        2
        """
        guard = self.acquire()
        try:
            value = _scope.not_awaitable(work(guard), work)
            if compensation is not None and self._on_lost != "ignore":
                guard.check()
        except BaseException as error:
            try:
                if compensation is not None:
                    compensation(guard, error)
            finally:
                _leave(guard, error, self._on_lost)
            raise
        _leave(guard, None, self._on_lost)
        return value


def _leave(guard: Guard, body: BaseException | None, on_lost: OnLost) -> None:
    """Ends a scope."""
    native = guard._native
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
            released = native.release().wait()
        except Error as error:
            _scope.release_failed(native, error)
    verdict = _scope.verdict(native, lost, released, body, on_lost)
    if verdict is not None:
        raise verdict


class _OneKey(Lock):
    """A lock of one key."""

    def held_by_anyone(self) -> bool:
        """Whether anybody holds the key, a foreign value included."""
        return self._native.held_by_anyone().wait()

    def held_by_me(self) -> bool:
        """Whether the owner value of this lock holds the key, in whichever process. Raises
        `Invalid` without the option ``owner``: without it each grant has a value of its own."""
        return self._native.held_by_me().wait()

    def inspect(self) -> Inspection:
        """The state of the key: holders, waiters, fence."""
        return self._native.inspect().wait()

    def force_release(self) -> int:
        """Takes the key away from all its holders, which are told at their next renewal; answers
        how many there were."""
        return self._native.force_release().wait()

    def adopt(self, ticket: str) -> Guard:
        """Becomes the holder of what `Guard.hand_over` gave away. A ticket serves once."""
        return Guard(self._native.adopt(ticket).wait())


class Mutex(_OneKey):
    """One holder at a time. Made by `Locks.mutex`.

    >>> import tenure
    >>> locks = tenure.connect("memory:")
    >>> with locks.mutex("report", wait=10) as lock:
    ...     lock.fence > 0
    True
    """

    def steal(self) -> Guard:
        """Takes the lock away from its holder, which is told at its next renewal, and holds it."""
        return Guard(self._native.steal().wait())


class Semaphore(_OneKey):
    """A number of permits, of which each claim takes some. Made by `Locks.semaphore`.

    >>> import tenure
    >>> locks = tenure.connect("memory:")
    >>> with locks.semaphore("render", 4, units=3):
    ...     locks.semaphore("render", 4, units=2).try_acquire() is None
    True
    """

    def set_permits(self, permits: int) -> int | None:
        """Changes the number of permits while some are taken; answers the number before."""
        return self._native.set_permits(count(permits)).wait()


class RwLock:
    """Many readers or one writer. Made by `Locks.rwlock`.

    >>> import tenure
    >>> prices = tenure.connect("memory:").rwlock("prices")
    >>> with prices.read(), prices.read():
    ...     prices.write().try_acquire() is None
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

    >>> import tenure
    >>> election = tenure.connect("memory:").election("primary")
    >>> with election.campaign("host-1") as leadership:
    ...     election.leader().value, election.leader().term == leadership.fence
    ('host-1', True)
    >>> election.leader() is None
    True
    """

    def __init__(self, make: Callable[[str], _OneKey]) -> None:
        self._make = make

    def campaign(self, value: str = "") -> _OneKey:
        """The lock of the leader. ``value``, at most 4 KiB, is what others see beside it."""
        return self._make(value)

    def leader(self) -> Leader | None:
        """The leader now; ``None`` if there is none."""
        return self._make("")._native.leader().wait()

    def observe(self, interval: Seconds | None = None) -> Iterator[Leader | None]:
        """The leaders, one after the other; the first at once. ``interval`` is the time between two
        looks where the store cannot tell of changes."""
        stream = self._make("")._native.observe(interval).wait()
        return _items(stream)


class Run(Guard):
    """A run of a job, which `finish` ends. A run that is given back unfinished counts as failed.

    >>> import tenure
    >>> job = tenure.connect("memory:").once("poll", every=300)
    >>> run = job.begin()
    >>> run.finish(failed="the disk is full")
    >>> job.last().state, job.last().why
    ('failed', 'the disk is full')
    """

    __slots__ = ()

    def finish(self, failed: str | None = None) -> None:
        """Ends the run, with why it failed, if it did."""
        self._native.finish(failed).wait()


class Ran(Generic[T]):
    """The answer of `Once.run`: whether the work ran here, and its value; otherwise the run that
    came first.

    >>> import tenure
    >>> job = tenure.connect("memory:").once("poll", every=300)
    >>> first, second = job.run(lambda run: 3), job.run(lambda run: 3)
    >>> first.ran, first.value, second.ran, second.last.state
    (True, 3, False, 'ok')
    """

    __slots__ = ("last", "ran", "value")

    def __init__(self, ran: bool, value: T | None, last: LastRun | None) -> None:
        self.ran = ran
        self.value = value
        self.last = last

    def __repr__(self) -> str:
        return f"Ran(ran={self.ran!r}, value={self.value!r}, last={self.last!r})"


class Once:
    """A job that runs once per tick, whichever host comes first. Made by `Locks.once`.

    >>> import tenure
    >>> job = tenure.connect("memory:").once("nightly", every=3600)
    >>> job.run(lambda run: "done").value
    'done'
    >>> job.run(lambda run: "done").ran
    False
    >>> job.last().state
    'ok'
    """

    def __init__(self, native: _tenure.Lock) -> None:
        self._native = native

    def begin(self) -> Run | LastRun:
        """Begins the run of this tick; a `LastRun` if that was begun before."""
        begun = self._native.acquire().wait()
        return Run(begun) if isinstance(begun, _tenure.Guard) else begun

    def run(self, work: Callable[[Run], T]) -> Ran[T]:
        """Calls ``work(run)`` if this tick's run is ours. The work's error is on record and raised
        again; `LockLost` if the lock was lost meanwhile."""
        begun = self.begin()
        if isinstance(begun, LastRun):
            return Ran(False, None, begun)
        try:
            value = _scope.not_awaitable(work(begun), work)
            begun.check()
        except BaseException as error:
            try:
                begun.finish(f"{type(error).__name__}: {error}")
            except Error as second:
                _scope.release_failed(begun._native, second)
            raise
        begun.finish()
        return Ran(True, value, None)

    def last(self) -> LastRun | None:
        """The last run; ``None`` if there is no record."""
        return self._native.last().wait()

    def inspect(self) -> Inspection:
        """The state of the key."""
        return self._native.inspect().wait()


class Locks:
    """All locks of one store. Made by `connect`; safe for use by many threads.

    >>> import tenure
    >>> with tenure.connect("memory:") as locks:
    ...     held = locks.mutex("a").acquire(), locks.mutex("b").acquire()
    ...     [(key, seen.state) for key, seen in locks.list()]
    [('a', 'held'), ('b', 'held')]
    """

    def __init__(self, native: _tenure.Locks) -> None:
        self._native = native

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def store(self) -> str:
        """The store's name, without secrets."""
        return self._native.store_name().wait()

    def mutex(self, key: str, **options: Unpack[MutexOptions]) -> Mutex:
        """One holder at a time, first come, first served. See `MutexOptions`.

        >>> import tenure
        >>> with tenure.connect("memory:").mutex("report", ttl=30, wait=10) as lock:
        ...     lock.key
        'report'
        """
        native, on_lost = chosen(dict(options), "raise", MUTEX_NAMES)
        return Mutex(self._native.mutex(key, native), on_lost)

    def semaphore(
        self, key: str, permits: int, *, units: int = 1, **options: Unpack[LockOptions]
    ) -> Semaphore:
        """``permits`` permits, of which each claim takes ``units``. A quorum refuses it.

        >>> import tenure
        >>> with tenure.connect("memory:").semaphore("render", 4, units=2) as lock:
        ...     lock.held
        True
        """
        native, on_lost = chosen(dict(options), "raise")
        lock = self._native.semaphore(key, count(permits), count(units), native)
        return Semaphore(lock, on_lost)

    def rwlock(self, key: str, **options: Unpack[LockOptions]) -> RwLock:
        """Many readers or one writer. A quorum refuses it.

        >>> import tenure
        >>> prices = tenure.connect("memory:").rwlock("prices")
        >>> with prices.write() as lock:
        ...     lock.downgrade()
        ...     prices.read().try_acquire().held
        True
        """
        native, on_lost = chosen(dict(options), "raise")
        return RwLock(lambda writes: _OneKey(self._native.rwlock(key, writes, native), on_lost))

    def election(self, key: str, **options: Unpack[LockOptions]) -> Election:
        """At most one leader, whose term is the fence.

        >>> import tenure
        >>> with tenure.connect("memory:").election("primary").campaign("host-1") as lock:
        ...     lock.set_value("host-1, warmed up")
        """
        native, on_lost = chosen(dict(options), "raise")
        return Election(lambda value: _OneKey(self._native.election(key, value, native), on_lost))

    def all(self, keys: Iterable[str], **options: Unpack[LockOptions]) -> Lock:
        """Several keys at once, held together or not at all; no order can make a deadlock.

        >>> import tenure
        >>> with tenure.connect("memory:").all(["account:3", "account:7"]) as both:
        ...     sorted(both.fences)
        ['account:3', 'account:7']
        """
        native, on_lost = chosen(dict(options), "raise")
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

        >>> import tenure
        >>> tenure.connect("memory:").once("poll", every=300).run(lambda run: "done").value
        'done'
        """
        others = options.keys() - {"ttl", "renew", "max_hold", "label"}
        if others:
            raise Invalid(f"a job that runs once per tick has no option {sorted(others)[0]!r}")
        native, _ = chosen(dict(options), "raise")
        return Once(self._native.once(key, every, since_last_run, retry_failed, native))

    def locked(self, key: str | None = None, **options: Unpack[MutexOptions]) -> Callable[[F], F]:
        """Decorates a function, or a coroutine function, to run under a mutex.

        ``{names}`` in the key stand for the function's arguments. Without a key it is the
        function's module and name: name the key where two programs share it.

        >>> import tenure
        >>> locks = tenure.connect("memory:")
        >>> @locks.locked("stock:{item}", wait=10)
        ... def buy(item):
        ...     return locks.mutex("stock:book").held_by_anyone()
        >>> buy("book")
        True
        """
        return _locked(self._native, key, dict(options))

    def list(
        self, prefix: str = "", after: str | None = None, limit: int = 100
    ) -> Page:
        """The first ``limit`` keys with this prefix after the key ``after``, with their states, in
        the order of their names."""
        return self._native.list(prefix, after, limit).wait()

    def list_all(self, prefix: str = "") -> Iterator[tuple[str, Inspection]]:
        """All keys with this prefix, with their states; asked for page by page."""
        return _items(self._native.list_all(prefix).wait())

    def watch(self, key: str, interval: Seconds | None = None) -> Iterator[Inspection]:
        """The states of a key: the first at once, then each change. ``interval`` is the time
        between two looks where the store cannot tell of changes."""
        return _items(self._native.watch(key, interval).wait())

    def adopt(self, ticket: str) -> Guard:
        """Becomes the holder of what `Guard.hand_over` gave away. A ticket serves once."""
        return Guard(self._native.adopt(ticket).wait())

    def release_owner(self, key: str, owner: str) -> str:
        """Releases what is held with a fixed owner value; answers as `Guard.release`."""
        return self._native.release_owner(key, owner).wait()

    def close(self, limit: Seconds = 5) -> None:
        """Waits for the releases in the background, for ``limit`` seconds at most, and ends every
        lock that is still held."""
        self._native.close(limit).wait()


def _items(stream: _tenure.Stream) -> Iterator[Any]:
    while True:
        item = stream.next().wait()
        if item is None:
            return
        yield item[0]


def _locked(native: _tenure.Locks, key: str | None, options: dict[str, Any]) -> Callable[[F], F]:
    # Asyncio has another default, so a coroutine function gets its lock there.
    from . import aio

    return decorator(
        key,
        lambda key: Locks(native).mutex(key, **options),
        lambda key: aio.Locks(native).mutex(key, **options),
    )


def connect(url: str, *, store_timeout: Seconds | None = None) -> Locks:
    """Opens a store: ``memory:``, ``sqlite:PATH``, ``redis://HOST``, ``redis+sentinel://…``,
    ``redis+cluster://…`` or ``quorum:…``.

    ``store_timeout`` (default 5 s) is the time limit of one call of the store and of the first
    contact. Raises `Invalid` for a bad URL, `StoreUnavailable` or `StoreRefused`. In asyncio use
    `tenure.aio.connect`, which does not block.

    >>> import tenure
    >>> tenure.connect("memory:").mutex("report").held_by_anyone()
    False
    """
    return Locks(_tenure.connect(url, store_timeout).wait())


def default_locks() -> Locks:
    """The locks of the default store: that of `set_default`, of ``TENURE_STORE``, of
    ``TENURE_STORE_FILE``, or the embedded store of this host and user. It is opened at its first
    use, which warns of another variable that begins with ``TENURE_`` (`RuntimeWarning`). `mutex`,
    `semaphore`, `rwlock`, `election`, `all`, `once` and `locked` of this module are its methods.

    >>> import tenure
    >>> before = tenure.default_locks()
    >>> tenure.set_default(tenure.connect("memory:"))
    >>> with tenure.mutex("report") as lock:
    ...     tenure.default_locks().store
    'memory'
    """
    return Locks(_tenure.default_locks())


def set_default(locks: Locks) -> None:
    """Makes the store of ``locks`` the default one of this process.

    >>> import tenure
    >>> tenure.set_default(tenure.connect("memory:"))
    >>> with tenure.mutex("report") as lock:
    ...     lock.held
    True
    """
    if not isinstance(locks, Locks):
        raise Invalid(f"give what tenure.connect answers, not {locks!r}")
    _tenure.set_default(locks._native).wait()


__all__ = [
    "Busy",
    "Election",
    "Guard",
    "Lock",
    "LockLost",
    "Locks",
    "Mutex",
    "Once",
    "Ran",
    "Run",
    "RwLock",
    "Semaphore",
    "connect",
    "default_locks",
    "set_default",
]
