"""What redis-py's two classes of locks have in common: settings, tokens and errors."""

from __future__ import annotations

import threading
import uuid
from types import SimpleNamespace
from typing import Any

from redis import exceptions

from .._claim import Claim, Steps, Token

NOT_ACQUIRED = "Unable to acquire lock within the time specified"
LOST_AT_EXIT = "Lock was unlocked or no longer owned when exiting context manager."


class Base:
    """A lock of redis-py over Tenure."""

    _is_async = False

    def __init__(
        self,
        redis: Any,
        name: str,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
        *,
        raise_on_exit_timeout: bool | None = None,
    ) -> None:
        self.redis = redis
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.thread_local = bool(thread_local)
        self.raise_on_release_error = (
            raise_on_release_error if raise_on_exit_timeout is None else raise_on_exit_timeout
        )
        self.local: Any = threading.local() if self.thread_local else SimpleNamespace()
        self.local.token = None
        # A client that cannot be used is refused here.
        self._claim()

    def _claim(self) -> Claim:
        return Claim(self.redis, self.name, self._is_async)

    def _token(self) -> Any:
        # Another thread than that of the constructor has none yet.
        return getattr(self.local, "token", None)

    def _lasting(self) -> float | None:
        """The timeout; ``None`` for a lease that is renewed."""
        if not self.timeout:
            return None
        if int(self.timeout * 1000) <= 0:
            raise exceptions.ResponseError("invalid expire time in 'set' command")
        return self.timeout

    def _acquiring(
        self,
        blocking: bool | None,
        blocking_timeout: float | None,
        token: Token | None,
        sleep: float | None = None,
    ) -> Steps[bool]:
        claim = self._claim()
        value = uuid.uuid1().hex.encode() if token is None else claim.encoded(token)
        if blocking is None:
            blocking = self.blocking
        if blocking_timeout is None:
            blocking_timeout = self.blocking_timeout
        wait = blocking_timeout if blocking else 0
        pause = self.sleep if sleep is None else sleep
        acquired = yield from claim.acquiring(value, self._lasting(), wait, None, pause)
        if acquired:
            self.local.token = value
        return acquired

    def _releasing(self, token: Token) -> Steps[None]:
        if not (yield from self._claim().releasing(token)):
            raise self._not_owned("release")

    def _extending(self, token: Token, seconds: float, replace: bool, verb: str) -> Steps[bool]:
        if not (yield from self._claim().extending(token, seconds, replace)):
            raise self._not_owned(verb)
        return True

    def _owning(self) -> Steps[bool]:
        token = self._token()
        if token is None:
            return False
        return (yield from self._claim().holding(token))

    def _releasable(self) -> Any:
        """The token, for a release."""
        token = self._token()
        if token is None:
            raise self._error("Cannot release a lock that's not owned or is already unlocked.")
        return token

    def _extendable(self, verb: str) -> Any:
        """The token, for more time."""
        token = self._token()
        if token is None:
            raise self._error(f"Cannot {verb} an unlocked lock")
        if not self.timeout:
            raise self._error(f"Cannot {verb} a lock with no timeout")
        return token

    def _error(self, message: str) -> exceptions.LockError:
        return exceptions.LockError(message, lock_name=self.name)

    def _not_owned(self, verb: str) -> exceptions.LockNotOwnedError:
        message = f"Cannot {verb} a lock that's no longer owned"
        return exceptions.LockNotOwnedError(message, lock_name=self.name)
