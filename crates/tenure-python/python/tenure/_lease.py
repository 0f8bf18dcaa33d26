"""What a held lock tells without waiting, on a thread as on a loop."""

from __future__ import annotations

from . import _tenure


class Lease:
    """A lock that is held. It asks the clock, not the store."""

    __slots__ = ("_native",)

    def __init__(self, native: _tenure.Guard) -> None:
        self._native = native

    def __repr__(self) -> str:
        native, kind = self._native, type(self)
        module = kind.__module__.replace("._sync", "")
        return (
            f"<{module}.{kind.__qualname__} {native.keys} fences={native.fences} "
            f"remaining={native.remaining}>"
        )

    @property
    def key(self) -> str:
        """The key; of several keys the first in their order."""
        return self._native.keys[0]

    @property
    def keys(self) -> list[str]:
        """The keys, sorted, each once."""
        return self._native.keys

    @property
    def fence(self) -> int:
        """The fencing token: it only grows from grant to grant. A resource that refuses a smaller
        one than it has seen refuses every holder that comes too late. Several keys have `fences`.
        """
        return self._native.fence

    @property
    def fences(self) -> dict[str, int]:
        """The fencing token of each key."""
        return self._native.fences

    @property
    def owner(self) -> str:
        """The owner value of this grant."""
        return self._native.owner

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, if nothing is renewed; 0 once the lock is lost or given
        back."""
        return self._native.remaining

    @property
    def held(self) -> bool:
        """Whether the lock is still guaranteed."""
        return self._native.held

    def check(self) -> None:
        """Raises `LockLost` if the lock is no longer guaranteed. It asks the clock, not the store,
        and takes less than a microsecond."""
        self._native.check()
