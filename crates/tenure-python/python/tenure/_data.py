"""What a store says of a key: plain data. All times are seconds."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Holder", "Inspection", "LastRun", "Leader", "Node", "Waiter"]


class Holder(NamedTuple):
    """A holder of a key.

    ``units`` is the number of units that it has, all of the limit if it is ``exclusive``. ``since``
    is the time since the grant, ``remaining`` the time until its lease ends unless it is renewed.
    ``kept``: it has released the key, which stays taken until then (``min_hold``).

    >>> import tenure
    >>> mutex = tenure.connect("memory:").mutex("report", ttl=30, label="nightly")
    >>> with mutex as lock:
    ...     holder = mutex.inspect().holders[0]
    >>> holder.label, holder.fence == lock.fence, 29 < holder.remaining <= 30
    ('nightly', True, True)
    """

    owner: str
    label: str
    units: int
    exclusive: bool
    fence: int
    value: str | None
    since: float
    remaining: float
    kept: bool


class Waiter(NamedTuple):
    """A caller that waits in line for a key; ``waiting`` is the time since it began to wait.

    >>> import threading, tenure
    >>> mutex = tenure.connect("memory:").mutex("report", label="the second")
    >>> with mutex:
    ...     second = threading.Thread(target=lambda: mutex.acquire().release())
    ...     second.start()
    ...     while not mutex.inspect().waiters:
    ...         pass
    ...     print(mutex.inspect().waiters[0].label)
    the second
    >>> second.join()
    """

    label: str
    units: int
    exclusive: bool
    waiting: float


class Node(NamedTuple):
    """The answer of one node of a quorum, or why there is none; ``took`` is the time until then.

    ``holds``: it answered that somebody holds the key. A key that too few nodes answer for, and one
    of them holds, may be held.

    >>> import tempfile, tenure
    >>> with tempfile.TemporaryDirectory() as place:
    ...     nodes = " ".join(f"sqlite:{place}/{name}.db" for name in "abc")
    ...     with tenure.connect(f"quorum:{nodes}") as locks:
    ...         [node.answered for node in locks.mutex("report").inspect().nodes]
    [True, True, True]
    """

    name: str
    answered: bool
    said: str
    took: float
    holds: bool


class LastRun(NamedTuple):
    """The last run of a job that runs once per tick.

    ``begun`` is a time stamp (seconds since 1970, by the clock of the store). ``why`` is the reason
    of a failure. ``took`` is ``None`` if the holder has not told the end.

    >>> import tenure
    >>> job = tenure.connect("memory:").once("poll", every=300, label="host-1")
    >>> job.last() is None
    True
    >>> job.run(lambda run: None).ran, job.last().state, job.last().label
    (True, 'ok', 'host-1')
    """

    owner: str
    label: str
    begun: float
    state: Literal["running", "ok", "failed", "unfinished"]
    why: str | None
    took: float | None


class Leader(NamedTuple):
    """The leader of an election; ``term`` is its fence.

    >>> import tenure
    >>> election = tenure.connect("memory:").election("primary", label="host-1")
    >>> with election.campaign("10.0.0.1:80"):
    ...     leader = election.leader()
    >>> leader.label, leader.value
    ('host-1', '10.0.0.1:80')
    """

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

    >>> import tenure
    >>> mutex = tenure.connect("memory:").mutex("report")
    >>> mutex.inspect().state
    'free'
    >>> with mutex:
    ...     seen = mutex.inspect()
    >>> seen.state, len(seen.holders), len(seen.waiters)
    ('held', 1, 0)
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
