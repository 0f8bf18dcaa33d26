"""The kit for the tests of programs that use locks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import tenure
from tenure import _loop, aio
from tenure.testing import Clock, World

SOURCES = str(Path(tenure.__file__).parents[1])


def test_a_busy_key_is_busy_until_it_is_freed() -> None:
    world = World()
    report = world.locks.mutex("report", wait=0.02)
    busy = world.busy("report")
    with pytest.raises(tenure.Busy, match="somebody else"):
        report.acquire()
    assert report.inspect().holders[0].label == "somebody else"
    busy.free()
    busy.free()
    # It may go to the wait that has just ended, and come back.
    assert world.locks.mutex("report", wait=60).acquire().release() == "released"


def test_a_busy_key_is_free_after_its_scope() -> None:
    world = World()
    with world.busy("report"):
        assert world.locks.mutex("report").held_by_anyone()
    assert not world.locks.mutex("report").held_by_anyone()


def test_a_busy_key_that_nobody_keeps_is_free() -> None:
    world = World()
    world.busy("report")
    assert not world.locks.mutex("report").held_by_anyone()


def test_a_held_key_cannot_be_made_busy() -> None:
    world = World()
    with world.locks.mutex("report"), pytest.raises(AssertionError, match="'report'|\"report\""):
        world.busy("report")


@pytest.mark.parametrize("key", ["", "x" * 10_000])
def test_an_invalid_key_is_refused(key: str) -> None:
    world = World()
    with pytest.raises(tenure.Invalid):
        world.busy(key)
    with pytest.raises(tenure.Invalid):
        world.lose(key)


def test_a_lost_key_is_lost_at_once_and_free() -> None:
    world = World()
    guard, kept = world.locks.mutex("report").acquire(), world.locks.mutex("other").acquire()
    world.lose("report")
    with pytest.raises(tenure.LockLost):
        guard.check()
    kept.check()
    following = world.another().locks.mutex("report").try_acquire()
    assert following is not None
    assert following.fence > guard.fence


def test_a_loss_ends_the_body_of_an_async_scope() -> None:
    world = World()

    async def main() -> None:
        async with world.aio.mutex("report"):
            world.lose("report")
            await asyncio.sleep(3600)

    with pytest.raises(tenure.LockLost):
        asyncio.run(main())


def test_a_loss_before_the_scope_begins_ends_its_body(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    run = _loop.run

    async def loses(operation: Any) -> Any:
        answer = await run(operation)
        world.lose("report")
        return answer

    async def main() -> None:
        report = world.aio.mutex("report")
        monkeypatch.setattr("tenure.aio._run", loses)
        async with report:
            monkeypatch.undo()
            await asyncio.wait_for(asyncio.sleep(3600), 20)

    with pytest.raises(tenure.LockLost):
        asyncio.run(main())


def test_both_kinds_of_locks_and_another_process_share_the_store() -> None:
    world = World()
    other = world.another()

    async def main() -> None:
        for locks in (world.aio, other.aio):
            assert await locks.mutex("report").try_acquire() is None
            assert isinstance(locks, aio.Locks)

    with world.locks.mutex("report"):
        assert other.locks.mutex("report").held_by_anyone()
        asyncio.run(main())


def test_two_worlds_share_nothing() -> None:
    with World().locks.mutex("report"), World().locks.mutex("report", wait=0):
        pass


def test_a_failing_store_is_away_until_it_works_again() -> None:
    world = World()
    report = world.locks.mutex("report")
    guard = report.acquire()
    world.fail()
    with pytest.raises(tenure.StoreUnavailable):
        guard.extend_to(60)
    guard.check()
    with pytest.raises(tenure.StoreUnavailable):
        world.locks.mutex("other").acquire()
    world.fail(False)
    assert guard.release() == "released"


def test_the_next_requests_fail_and_later_ones_do_not() -> None:
    world = World()
    report = world.locks.mutex("report")
    world.fail_next(2)
    for _ in range(2):
        with pytest.raises(tenure.StoreUnavailable) as raised:
            report.try_acquire()
        assert not raised.value.may_hold
    guard = report.try_acquire()
    assert guard is not None
    assert guard.release() == "released"


def test_a_lost_answer_may_hold() -> None:
    world = World()
    world.lose_answers(2)
    with pytest.raises(tenure.StoreUnavailable) as raised:
        world.locks.mutex("report").try_acquire()
    assert raised.value.may_hold


def test_a_lease_ends_when_the_clock_says_so() -> None:
    clock = Clock()
    world = World(clock)
    report = world.locks.mutex("report", ttl=30, renew=False)
    guard = report.acquire()
    clock.advance(timedelta(seconds=20))
    guard.check()
    clock.advance(11)
    with pytest.raises(tenure.LockLost):
        guard.check()
    assert guard.wait_lost()
    assert not report.held_by_anyone()


def test_a_wait_ends_when_the_clock_says_so() -> None:
    clock = Clock()
    world = World(clock)
    busy = world.busy("report")
    raised: list[BaseException] = []

    def waits() -> None:
        try:
            world.locks.mutex("report", wait=3600).acquire()
        except tenure.Busy as error:
            raised.append(error)

    waiter = threading.Thread(target=waits)
    waiter.start()
    limit = time.monotonic() + 60
    while not world.locks.mutex("report").inspect().waiters:
        assert time.monotonic() < limit, "nobody waits"
        time.sleep(0.01)
    waiter.join(0.2)
    assert waiter.is_alive()
    clock.advance(3601)
    waiter.join(60)
    assert len(raised) == 1
    busy.free()


TESTS_OF_A_PROGRAM = """
import pytest
import tenure
from tenure.testing import World

pytest_plugins = ["tenure.pytest_plugin"]


def report(locks):
    with locks.mutex("report", wait=0.01):
        return "written"


def test_the_fixture_is_a_world(tenure_world):
    assert isinstance(tenure_world, World)
    assert report(tenure_world.locks) == "written"
    with tenure_world.busy("report"), pytest.raises(tenure.Busy):
        report(tenure_world.locks)


def test_the_default_store_is_the_world(tenure_default, tenure_world):
    assert tenure_default is tenure_world
    with tenure_world.busy("report"):
        assert tenure.mutex("report").try_acquire() is None


def test_each_test_has_a_world_of_its_own(tenure_default):
    assert tenure_default.locks.list() == []
"""


def test_the_fixtures_serve_a_program(tmp_path: Path) -> None:
    tests = tmp_path / "test_program.py"
    tests.write_text(TESTS_OF_A_PROGRAM)
    environment = {**os.environ, "PYTHONPATH": SOURCES, "TENURE_STORE": "redis://127.0.0.1:1"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
