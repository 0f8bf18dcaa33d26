"""Fixtures for pytest: a store in memory for each test. Name it in the ``conftest.py`` of the
tests, or in one test file:

    pytest_plugins = ["tenure.pytest_plugin"]

It is not loaded by itself, so that programs whose tests use no locks pay nothing for it.
"""

from __future__ import annotations

import pytest

from ._sync import set_default
from .testing import World

__all__ = ["tenure_default", "tenure_world"]


@pytest.fixture
def tenure_world() -> World:
    """A `World` on the machine's clock, for programs that are given their locks."""
    return World()


@pytest.fixture
def tenure_default(tenure_world: World) -> World:
    """The `tenure_world`, as the default store: for programs that call `tenure.mutex` and the like.
    Later tests of the process that ask for no world have it too, and never the store of the user.
    """
    set_default(tenure_world.locks)
    return tenure_world
