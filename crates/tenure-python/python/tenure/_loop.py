"""Waiting on an event loop: each operation is polled by the loop's own thread, when the library's
thread has put its number into the loop's queue."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar, Union

from . import _tenure
from ._tenure import Operation

T = TypeVar("T")

# Operations that are done at once let the other tasks run after so many.
_YIELD_EVERY = 16


class _Call:
    """Calls a function when its operation is done, in the place of a future."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def done(self) -> bool:
        return False

    def set_result(self, _: None) -> None:
        self.function()


_Waiting = Union["asyncio.Future[None]", _Call]


class Bridge:
    """The operations under way of one loop."""

    __slots__ = ("at_once", "completions", "forks", "pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.completions = _tenure.Completions()
        self.pending: dict[int, tuple[Operation[Any], _Waiting]] = {}
        self.at_once = 0
        self.forks = _forks
        loop.add_reader(self.completions.fileno(), self._drain)

    def _drain(self) -> None:
        pending = self.pending
        for number in self.completions.take():
            entry = pending.get(number)
            if entry is not None and entry[0].poll():
                del pending[number]
                if not entry[1].done():
                    entry[1].set_result(None)

    def watch(self, operation: Operation[Any], function: Callable[[], None]) -> int | None:
        """Calls the function when the operation is done. Answers the number to forget it by;
        ``None`` if it is done already, and then nothing is called."""
        number = operation.start(self.completions)
        if number is not None:
            self.pending[number] = (operation, _Call(function))
        return number

    def forget(self, number: int) -> None:
        """Withdraws an operation."""
        entry = self.pending.pop(number, None)
        if entry is not None:
            entry[0].cancel()


# The number of forks that led to this process.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def bridge() -> Bridge:
    """The bridge of the running loop. The loop has it, so that both can be collected together,
    with what is still pending."""
    loop: Any = asyncio.get_running_loop()
    found: Bridge | None = getattr(loop, "_tenure_bridge", None)
    if found is None or found.forks != _forks:
        # After a fork the queue belongs to the parent's loop.
        found = loop._tenure_bridge = Bridge(loop)
    return found


async def run(operation: Operation[T]) -> T:
    """The answer of the operation. To cancel the task withdraws the operation."""
    here = bridge()
    number = operation.start(here.completions)
    if number is None:
        here.at_once += 1
        if here.at_once % _YIELD_EVERY == 0:
            try:
                await asyncio.sleep(0)
            except BaseException:
                operation.cancel()
                raise
        return operation.answer()
    future = asyncio.get_running_loop().create_future()
    here.pending[number] = (operation, future)
    try:
        await future
    except BaseException:
        # If the answer has come meanwhile, it is given back with the operation.
        here.pending.pop(number, None)
        operation.cancel()
        raise
    return operation.answer()
