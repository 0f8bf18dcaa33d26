"""What a store says of a key: plain data. All times are seconds."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Holder", "Inspection", "LastRun", "Leader", "Node", "Waiter"]


class Holder(NamedTuple):
    """A holder of a key.

    ``units`` is the number of units that it has, all of the limit if it is ``exclusive``. ``since``
    is the time since the grant, ``remaining`` the time until its lease ends unless it is renewed.
    """

    owner: str
    label: str
    units: int
    exclusive: bool
    fence: int
    value: str | None
    since: float
    remaining: float


class Waiter(NamedTuple):
    """A caller that waits in line for a key; ``waiting`` is the time since it began to wait."""

    label: str
    units: int
    exclusive: bool
    waiting: float


class Node(NamedTuple):
    """The answer of one node of a quorum, or why there is none; ``took`` is the time until then."""

    name: str
    answered: bool
    said: str
    took: float


class LastRun(NamedTuple):
    """The last run of a job that runs once per tick.

    ``begun`` is a time stamp (seconds since 1970, by the clock of the store). ``why`` is the reason
    of a failure. ``took`` is ``None`` if the holder has not told the end.
    """

    owner: str
    label: str
    begun: float
    state: Literal["running", "ok", "failed", "unfinished"]
    why: str | None
    took: float | None


class Leader(NamedTuple):
    """The leader of an election; ``term`` is its fence."""

    term: int
    label: str
    value: str


class Inspection(NamedTuple):
    """The state of a key at the moment that the store looked.

    ``foreign`` says what the key holds if that is no lock of Tenure's. ``limit`` is the number of
    units that live shares have in common; 1 if all claims are exclusive, ``None`` without claims.
    ``fence`` is the last fence that was granted, ``None`` if there is no record. ``nodes`` are the
    answers of a quorum's nodes. ``guarded`` is the time for which the store grants nothing new,
    since it may have forgotten leases; ``None`` if it is not guarded.
    """

    state: Literal["free", "held", "foreign", "unknown"]
    foreign: str | None
    limit: int | None
    fence: int | None
    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    nodes: tuple[Node, ...]
    guarded: float | None
    last_run: LastRun | None
