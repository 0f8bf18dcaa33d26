"""The options that all kinds of locks have, as the native half takes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal, Optional, TypedDict, Union

from ._errors import Invalid

Seconds = Union[float, timedelta]
"""A time: seconds as a number, or a ``timedelta``."""

OnLost = Literal["cancel", "raise", "ignore"]
"""What a scope does when its lock is lost before the scope ends."""

Native = tuple[
    Optional[Seconds],
    Optional[Seconds],
    "tuple[int, Seconds] | None",
    Optional[Seconds],
    Optional[Seconds],
    Optional[Seconds],
    Optional[str],
    Optional[str],
    bool,
]


class LockOptions(TypedDict, total=False):
    """The options of a lock. All times are seconds as numbers, or ``timedelta``.

    ========== ============================= =====================================================
    option     default                       meaning
    ========== ============================= =====================================================
    ``ttl``    30                            time for which the lease lasts without renewal: 0.01
                                             to 30 days. A crashed holder's key is free after it.
    ``wait``   ``None``: no limit            maximum time to wait for the lock. The first request
                                             may take 0.1 s even if this is shorter.
    ``retries`` ``None``                     ``(tries, delay)``, for programs whose settings are
                                             these: the same as ``wait=tries * delay``.
    ``renew``  ``True``: every ttl / 3       the interval of renewal; ``False``: never.
    ``min_hold`` 0                           keeps the key taken for so long after the grant, even
                                             if it is released earlier.
    ``max_hold`` ``None``: no limit          loses the lock so long after the grant.
    ``owner``  random                        a fixed owner value of 1 to 256 bytes.
    ``label``  ``host:pid:program``          the name that others see as the holder.
    ``on_lost`` ``"cancel"`` in asyncio,     what a scope does when its lock is lost: ``"cancel"``
               ``"raise"`` elsewhere         ends the body at its next await and raises `LockLost`
                                             (asyncio only); ``"raise"`` raises it at the end;
                                             ``"ignore"`` lets the finished work stand and logs a
                                             warning.
    ``raise_on_lost`` ``True``               ``False`` is another word for ``on_lost="ignore"``.
    ========== ============================= =====================================================

    >>> import tenure
    >>> slow: tenure.LockOptions = {"ttl": 120, "wait": 10, "label": "nightly.py"}
    >>> with tenure.connect("memory:").mutex("report", **slow) as lock:
    ...     100 < lock.remaining <= 120
    True
    """

    ttl: Seconds
    wait: Seconds | None
    retries: tuple[int, Seconds]
    renew: bool | Seconds
    min_hold: Seconds
    max_hold: Seconds
    owner: str
    label: str
    on_lost: OnLost
    raise_on_lost: bool


class MutexOptions(LockOptions, total=False):
    """The options of a mutex: those of every lock, and one more.

    ``plain_value`` (default ``False``) makes the owner value all that the key has, as redis-py's
    ``Lock`` does, so that programs of other libraries can extend and release the lock by its value.
    It needs Redis or Valkey (single, Sentinel, Cluster); every other store raises `Invalid`.

    >>> import tenure
    >>> try:
    ...     tenure.connect("memory:").mutex("report", plain_value=True).acquire()
    ... except tenure.Invalid:
    ...     print("this needs Redis")
    this needs Redis
    """

    plain_value: bool


_NONE: Native = (None, None, None, None, None, None, None, None, False)
NAMES = frozenset(LockOptions.__annotations__)
MUTEX_NAMES = NAMES | {"plain_value"}


def chosen(
    options: dict[str, Any], default: OnLost, names: frozenset[str] = NAMES
) -> tuple[Native, OnLost]:
    """The options for the native half, and what a scope does when its lock is lost. ``names`` are
    the options that this kind of lock has."""
    if not options:
        return _NONE, default
    unknown = options.keys() - names
    if unknown:
        known = ", ".join(sorted(names))
        raise TypeError(f"unknown option {sorted(unknown)[0]!r}; there are {known}")
    get = options.get
    if get("wait") is not None and get("retries") is not None:
        raise Invalid("wait and retries limit the same waiting; give one of them")
    renew = get("renew", True)
    every: Seconds | None = None if renew is True else renew or 0
    native: Native = (
        get("ttl"),
        get("wait"),
        get("retries"),
        every,
        get("min_hold"),
        get("max_hold"),
        get("owner"),
        get("label"),
        bool(get("plain_value")),
    )
    return native, _on_lost(get("on_lost"), get("raise_on_lost", True), default)


def _on_lost(choice: OnLost | None, raise_on_lost: bool, default: OnLost) -> OnLost:
    if not raise_on_lost:
        if choice not in (None, "ignore"):
            raise Invalid(f"raise_on_lost=False and on_lost={choice!r} contradict each other")
        return "ignore"
    if choice is None:
        return default
    if choice not in ("cancel", "raise", "ignore"):
        raise Invalid(f"on_lost is 'cancel', 'raise' or 'ignore', not {choice!r}")
    if choice == "cancel" and default != "cancel":
        raise Invalid("on_lost='cancel' needs asyncio: a thread cannot be interrupted")
    return choice


def count(number: int) -> int:
    """A number of permits or units; refused if the native half has no such number."""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**32:
        raise Invalid(f"a number of permits or units is 0 to 4294967295, not {number!r}")
    return number


def several(keys: Iterable[str]) -> list[str]:
    """The keys; refused if one key was given in the place of several."""
    if isinstance(keys, (str, bytes)):
        raise Invalid(f"give several keys, such as [{keys!r}], not one")
    return list(keys)
