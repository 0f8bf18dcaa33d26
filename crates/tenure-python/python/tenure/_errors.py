"""The exceptions of Tenure. Each says what happened, to which key, at which store, and what to do.
"""

from __future__ import annotations

__all__ = [
    "Busy",
    "Closed",
    "Error",
    "Forked",
    "Invalid",
    "LockLost",
    "Mismatch",
    "StoreRefused",
    "StoreUnavailable",
]


class Error(Exception):
    """The base of all exceptions of Tenure.

    ``key`` is the lock's key and ``store`` the store's name without secrets; both are ``None``
    where there is none. ``may_hold`` is ``True`` if the store may count the caller as a holder all
    the same, for the rest of the ttl at most.
    """

    key: str | None
    store: str | None
    may_hold: bool

    def __init__(
        self,
        message: str,
        key: str | None = None,
        store: str | None = None,
        may_hold: bool = False,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.store = store
        self.may_hold = may_hold

    def __reduce__(self) -> tuple[type[Error], tuple[str, str | None, str | None, bool]]:
        return type(self), (str(self), self.key, self.store, self.may_hold)


class Busy(Error):
    """The time limit of the wait has passed while others held the key."""


class LockLost(Error):
    """The lock is no longer guaranteed: stop the work that it protects."""


class StoreUnavailable(Error):
    """The store cannot be reached, or failed in a way that may pass."""


class StoreRefused(Error):
    """The store refused: credentials, rights, a full disk."""


class Invalid(Error):
    """Bad input or configuration, refused before anything was touched."""


class Mismatch(Error):
    """The key is in use in another way: as another kind, with another limit, by a foreign value."""


class Closed(Error):
    """The locks of this store were closed."""


class Forked(Error):
    """This process was forked after the connection was made: connect again here."""
