"""For the tests of programs that use locks: a store in memory that fails on request, and a clock
that the test moves. It is never for production.

>>> from tenure import LockLost
>>> from tenure.testing import World
>>> world = World()
>>> report = world.locks.mutex("report")
>>> with world.busy("report"):
...     print(report.try_acquire())         # somebody else has it
None
>>> guard = report.acquire()
>>> world.lose("report")
>>> guard.held                              # and the program must stop its work
False

A `Clock` moves the time of leases and waits, so no test needs to sleep:

>>> from tenure.testing import Clock
>>> clock = Clock()
>>> guard = World(clock).locks.mutex("report", ttl=30, renew=False).acquire()
>>> clock.advance(31)
>>> guard.held
False

With pytest, `tenure.pytest_plugin` has a world as a fixture.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from . import _tenure, aio
from ._options import Seconds
from ._sync import Locks

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Busy", "Clock", "Process", "World"]


class Clock:
    """A clock that the test moves. Until it does, no lease, no wait and no pause before a retry
    ends. Several worlds may share one.

    >>> from tenure.testing import Clock, World
    >>> clock = Clock()
    >>> guard = World(clock).locks.mutex("report", ttl=30, renew=False).acquire()
    >>> clock.advance(31)
    >>> guard.held
    False
    """

    __slots__ = ("_native",)

    def __init__(self) -> None:
        self._native = _tenure.Clock()

    def advance(self, span: Seconds) -> None:
        """Moves the clock by seconds or a ``timedelta``. What is due by then happens a little
        later, on a thread of the library: wait for it, as for `Guard.wait_lost`. `Guard.held` and
        `Guard.check` read the clock, and so know at once."""
        self._native.advance(span)


class Process:
    """The locks of one process: ``locks`` for threads and ``aio`` for asyncio, over one store.

    >>> from tenure.testing import World
    >>> world = World()
    >>> with world.another().locks.mutex("report"):
    ...     world.locks.mutex("report").held_by_anyone()
    True
    """

    __slots__ = ("aio", "locks")

    locks: Locks
    aio: aio.Locks

    def __init__(self, native: _tenure.Locks) -> None:
        self.locks = Locks(native)
        self.aio = aio.Locks(native)


class Busy:
    """Somebody else's hold on a key, from `World.busy`. It ends with `free`, with the ``with`` that
    it is used in, or when it is collected: keep it in a variable.

    >>> from tenure.testing import World
    >>> world = World()
    >>> with world.busy("report"):
    ...     print(world.locks.mutex("report").try_acquire())
    None
    """

    __slots__ = ("_native",)

    def __init__(self, native: _tenure.Busy) -> None:
        self._native = native

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        body: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.free()

    def free(self) -> None:
        """Gives the key back. A second call does nothing."""
        self._native.free()


class World(Process):
    """A store in memory for one test, and its locks: ``locks`` for threads, ``aio`` for asyncio.

    Without a ``clock`` it is on the machine's. Its time limit for a call of the store is 0.2 s.

    >>> import asyncio
    >>> from tenure import LockLost
    >>> from tenure.testing import World
    >>> async def main():
    ...     world = World()
    ...     try:
    ...         async with world.aio.mutex("report"):
    ...             world.lose("report")
    ...             await asyncio.sleep(60)         # cancelled at once
    ...     except LockLost:
    ...         return "lost"
    >>> asyncio.run(main())
    'lost'
    """

    __slots__ = ("_native",)

    def __init__(self, clock: Clock | None = None) -> None:
        self._native = _tenure.World(None if clock is None else clock._native)
        super().__init__(self._native.locks())

    def another(self) -> Process:
        """The locks of another process over the same store. `lose` does not reach their guards;
        they are told at their next renewal.

        >>> from tenure.testing import World
        >>> world = World()
        >>> with world.another().locks.mutex("report"):
        ...     print(world.locks.mutex("report").try_acquire())
        None
        """
        return Process(self._native.another())

    def busy(self, key: str) -> Busy:
        """Lets somebody else hold ``key``, under the label ``somebody else``. Raises
        ``AssertionError`` if the key is held, `Invalid` if it is no valid key.

        >>> import tenure
        >>> from tenure.testing import World
        >>> world = World()
        >>> busy = world.busy("report")
        >>> try:
        ...     world.locks.mutex("report", wait=0.01).acquire()
        ... except tenure.Busy:
        ...     print("the program must cope")
        the program must cope
        >>> busy.free()
        """
        return Busy(self._native.busy(key))

    def lose(self, key: str) -> None:
        """Takes ``key`` away from its holder. Guards of ``locks`` and ``aio`` are lost at once."""
        self._native.lose(key)

    def fail(self, failing: bool = True) -> None:
        """Switches failing on or off: a failing store refuses every request and does nothing. A
        call then raises `StoreUnavailable`: ``acquire`` after 0.2 s, ``try_acquire`` at once.

        >>> import tenure
        >>> from tenure.testing import World
        >>> world = World()
        >>> world.fail()
        >>> try:
        ...     world.locks.mutex("report").acquire()
        ... except tenure.StoreUnavailable:
        ...     print("the store is away")
        the store is away
        """
        self._native.fail(failing)

    def fail_next(self, count: int) -> None:
        """The store fails the next ``count`` requests and does nothing. Renewals and releases in
        the background count as well."""
        self._native.fail_next(count)

    def lose_answers(self, count: int) -> None:
        """The store carries out the next ``count`` requests, and their answers are lost. For a
        ``try_acquire`` the exception says ``may_hold``: the store may count us as the holder."""
        self._native.lose_answers(count)
