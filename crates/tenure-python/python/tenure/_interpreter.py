"""Refuses a subinterpreter, which would share the objects of the main one.

CPython 3.12 and later refuse it themselves: the native half does not say that it can be shared.
"""

from __future__ import annotations

import sys
from typing import Any


def refuse_subinterpreters() -> None:
    """Raises `ImportError` in a subinterpreter."""
    if sys.version_info < (3, 12):
        try:
            interpreters: Any = __import__("_xxsubinterpreters")
        except ImportError:
            # A build without them has no API to make one either.
            return
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "tenure does not support subinterpreters: use threads or processes instead"
            )


refuse_subinterpreters()
