"""The end of a scope: which error comes first. It waits for nothing."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from ._errors import Error, Invalid, LockLost
from ._options import OnLost
from ._tenure import Guard as Native

log = logging.getLogger("tenure")

S = TypeVar("S")
T = TypeVar("T")


class Scopes(Generic[S]):
    """The scopes of one lock that are entered."""

    __slots__ = ("_entered",)

    def __init__(self) -> None:
        self._entered: list[tuple[object, object, S]] = []

    def enter(self, frame: object, who: object, scope: S) -> None:
        """A scope of the ``with`` in this frame, run by this thread or task."""
        self._entered.append((frame, who, scope))

    def leave(self, frame: object, who: object) -> S:
        """The innermost scope of this frame: a generator has its own, whoever runs it. An
        `ExitStack` leaves in another frame than it enters, but in the same thread or task; else it
        is the last that was entered."""
        entered = self._entered
        for column, wanted in ((0, frame), (1, who)):
            for index in range(len(entered) - 1, -1, -1):
                if entered[index][column] == wanted:
                    return entered.pop(index)[2]
        return entered.pop()[2]


def not_awaitable(value: T, work: object) -> T:
    """Refuses work that has only begun: what it returned would run without the lock."""
    if not hasattr(type(value), "__await__"):
        return value
    close = getattr(value, "close", None)
    if close is not None:
        close()
    raise Invalid(
        f"{work!r} returned something to await, which would run without the lock; make it "
        "`async def`, and use it with tenure.aio"
    )


def loss(guard: Native) -> LockLost | None:
    """The error of a lock that is lost, and was not given back by its holder."""
    if guard.given_back:
        return None
    try:
        guard.check()
    except LockLost as error:
        return error
    return None


def verdict(
    guard: Native,
    lost: LockLost | None,
    released: str | None,
    body: BaseException | None,
    on_lost: OnLost,
) -> LockLost | None:
    """The error to raise after the body, which ended with `body`. `released` is the answer to the
    release, ``None`` if there was none."""
    if lost is None and released in ("gone", "others"):
        lost = LockLost(
            f"hold {guard.keys[0]!r}: the lock is lost: the store no longer has it (it was "
            "forced, or the store forgot it); stop the work it protects",
            guard.keys[0],
        )
    if lost is None:
        return None
    if body is not None:
        # The body's own error comes first, and the loss is the first cause of all.
        first = body
        while first.__context__ is not None and first is not lost:
            first = first.__context__
        if first is not lost:
            first.__context__ = lost
        return None
    if on_lost == "ignore":
        log.warning("the lock on %s had been lost before its work was done: %s", guard.keys, lost)
        return None
    return lost


def release_failed(guard: Native, error: Error) -> None:
    """The work's result stands; the release goes on in the background."""
    log.warning("cannot release %s, which goes on in the background: %s", guard.keys, error)
