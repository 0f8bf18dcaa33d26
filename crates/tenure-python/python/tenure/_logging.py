"""The library's events in Python's logging."""

from __future__ import annotations

import logging
import os
import threading
import traceback

from . import _tenure
from ._errors import Invalid

_lock = threading.Lock()
_started = False


def _deliver(lines: _tenure.Lines) -> None:
    log = logging.getLogger("tenure")
    while threading.main_thread().is_alive():
        for level, text in lines.take():
            try:
                log.log(level, "%s", text)
            except Exception:
                # A filter or a handler of the program: the next event may pass.
                traceback.print_exc()


def log_events(level: int | str = logging.WARNING) -> bool:
    """Sends the library's events of this level and above to ``logging.getLogger("tenure")``. The
    level is a number or a name of `logging`.

    A thread of its own delivers them, a little later, so a logger that blocks holds up no renewal.
    At most 8,192 events wait for it; later ones are dropped. Call it once, when the program starts;
    ``False`` if it was called before. A forked process calls it again. Without it losses are
    exceptions all the same.

    >>> import tenure
    >>> tenure.log_events() in (True, False)
    True
    """
    global _started
    number = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise Invalid(f"a level is a number or a name of logging, not {level!r}")
    with _lock:
        if _started:
            return False
        lines = _tenure.log_to(min(number, logging.CRITICAL))
        if lines is None:
            return False
        _started = True
    thread = threading.Thread(target=_deliver, args=(lines,), name="tenure-logging", daemon=True)
    thread.start()
    return True


def _after_fork() -> None:
    # The child has no such thread.
    global _started, _lock
    _started, _lock = False, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
