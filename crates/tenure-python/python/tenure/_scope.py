"""The end of a scope: which error comes first. It waits for nothing."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Generic, TypeVar

from ._errors import Error, LockLost
from ._options import OnLost
from ._tenure import Guard as Native

log = logging.getLogger("tenure")

S = TypeVar("S")


class Scopes(Generic[S]):
    """The scopes of one lock that are entered, by the thread or task that entered them."""

    __slots__ = ("_entered",)

    def __init__(self) -> None:
        self._entered: list[tuple[Hashable, S]] = []

    def enter(self, who: Hashable, scope: S) -> None:
        """The innermost scope of this thread or task."""
        self._entered.append((who, scope))

    def leave(self, who: Hashable) -> S:
        """The innermost scope of this thread or task. A generator may be finished by another one
        than began it, and then it is the last that was entered."""
        entered = self._entered
        for index in range(len(entered) - 1, -1, -1):
            if entered[index][0] == who:
                return entered.pop(index)[1]
        return entered.pop()[1]


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
    keys = guard.keys
    if lost is None and released in ("gone", "others"):
        lost = LockLost(
            f"hold {keys[0]!r}: the lock is lost: the store no longer has it (it was forced, or "
            "the store forgot it); stop the work it protects",
            keys[0],
        )
    if lost is None:
        return None
    if body is not None:
        # The body's own error comes first.
        if body.__context__ is None and body is not lost:
            body.__context__ = lost
        return None
    if on_lost == "ignore":
        log.warning("the lock on %s had been lost before its work was done: %s", keys, lost)
        return None
    return lost


def release_failed(guard: Native, error: Error) -> None:
    """The work's result stands; the release goes on in the background."""
    log.warning("cannot release %s, which goes on in the background: %s", guard.keys, error)
