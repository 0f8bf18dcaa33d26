"""One connection of Tenure per URL and process, and the leases that this process holds by it.

A lease stays until it is released, extended by others or over, as a key in Redis does: it does not
end with the object that acquired it. At the end of the process the leases without a timeout are
given back, and those with one stay until it has passed.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from itertools import islice

from .. import _tenure
from .._errors import Error
from .._options import MUTEX_NAMES, chosen
from ._client import call_limit_of

# Time in seconds for all that is done at the end of the process.
_AT_EXIT = 5.0
# The limit in seconds of a call with all its tries.
_STORE_TIMEOUT = 5.0
# How many leases are kept before those that are over are looked for, a few at each acquire.
_MANY = 64
_FEW = 2
# The time in seconds of a lease without a timeout. It is renewed every third of it.
_LEASE = 30.0
# The shortest time of `Guard.hand_over`; a lease that has longer keeps it.
AS_IT_IS = 0.01


class Store:
    """The locks of one URL, for this process."""

    def __init__(self, url: str) -> None:
        self.native = _tenure.connect_later(url, _store_timeout(url))
        # The leases by key and token, and whether each has a timeout.
        self.held: dict[tuple[str, str], tuple[_tenure.Guard, bool]] = {}
        self.has_granted = False
        self.lock = threading.Lock()

    def mutex(
        self, key: str, token: str, timeout: float | None, wait: float | None, every: float | None
    ) -> _tenure.Lock:
        """The lock whose key has the token as its value.

        ``timeout`` is the time of the lease in seconds, which is renewed if ``every`` says how
        often; without a timeout it is 30 s, renewed every 10 s.
        """
        options = {"owner": token, "wait": wait, "plain_value": True}
        if timeout is None:
            options |= {"ttl": _LEASE}
        else:
            options |= {"ttl": timeout, "renew": every or False}
        native, _ = chosen(options, "ignore", MUTEX_NAMES)
        return self.native.mutex(key, native)

    def keep(self, key: str, token: str, guard: _tenure.Guard, has_timeout: bool) -> None:
        """Keeps a lease that was granted."""
        with self.lock:
            self.has_granted = True
            self.held[key, token] = (guard, has_timeout)

    def over(self) -> list[tuple[str, str]]:
        """Some leases that are over by this process's clock, while there are many: keys and tokens.
        A program that never releases has many of them."""
        with self.lock:
            if len(self.held) < _MANY:
                return []
            names = list(islice(self.held, _FEW))
            for name in names:
                # It is looked at again after all others.
                self.held[name] = self.held.pop(name)
            return [name for name in names if not self.held[name][0].held]

    def guard(self, key: str, token: str) -> _tenure.Guard | None:
        """The lease with this token, if this process has it."""
        with self.lock:
            return self.held.get((key, token), (None, False))[0]

    def take(self, key: str, token: str) -> _tenure.Guard | None:
        """The same, for its end."""
        with self.lock:
            return self.held.pop((key, token), (None, False))[0]

    def close(self, until: float) -> None:
        """Lets leases with a timeout be, and gives back the others."""
        for guard, has_timeout in list(self.held.values()):
            if has_timeout and guard.held and time.monotonic() < until:
                try:
                    guard.hand_over(AS_IT_IS).wait()
                except Error:
                    # Its end comes with its timeout.
                    pass
        if self.has_granted:
            try:
                self.native.close(max(0.0, until - time.monotonic())).wait()
            except Error:
                pass


def _store_timeout(url: str) -> float | None:
    """The time for all tries of a call: that of the client for one, if it is shorter than 5 s."""
    limit = call_limit_of(url)
    return None if limit is None else min(limit, _STORE_TIMEOUT)


_stores: dict[tuple[int, str], Store] = {}


def store_of(url: str) -> Store:
    """The store of this URL, in this process: after a fork, the child has its own."""
    name = (os.getpid(), url)
    found = _stores.get(name)
    # Of two threads that come at once, both get the store of the first.
    return found if found is not None else _stores.setdefault(name, Store(url))


def _close_all() -> None:
    until = time.monotonic() + _AT_EXIT
    for name in list(_stores):
        if name[0] == os.getpid():
            # A release that comes later has a connection of its own.
            _stores.pop(name).close(until)


atexit.register(_close_all)
