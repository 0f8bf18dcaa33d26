"""Nothing grows: memory and descriptors stay as they are, however often a lock is taken. Each test
runs in a process of its own, since those of other tests are closed a little later."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tenure
import tenure.aio
import uvloop

# `TENURE_TORTURE=1` finds a leak of some bytes for each lock, the short form one of some hundred.
ROUNDS = 100_000 if os.environ.get("TENURE_TORTURE") else 5_000
WARM_UP = 2_000
# KiB by which a process may grow all the same, since its allocators keep what they have once had.
SLACK = 1_500


ALONE = "TENURE_TEST_ALONE"


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """Runs the test in a process of its own."""

    @functools.wraps(test)
    def in_its_process(**fixtures: Any) -> None:
        if os.environ.get(ALONE):
            return test(**fixtures)
        name, _, _ = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
            cwd=Path(__file__).parents[1],
            env={**os.environ, ALONE: "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
        assert "1 passed" in ran.stdout
        return None

    return in_its_process


@dataclass
class State:
    """What the process has: KiB of memory, descriptors, threads."""

    memory: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> State:
        """The state at this moment, without garbage."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGE_SIZE") // 1024,
            len(os.listdir("/proc/self/fd")),
            len(os.listdir("/proc/self/task")),
        )

    def is_flat(self, before: State) -> None:
        """Checks that nothing has grown."""
        grown = self.memory - before.memory
        assert grown <= SLACK, f"{grown} KiB more after {ROUNDS} rounds"
        assert self.descriptors == before.descriptors
        assert self.threads == before.threads


def stays_flat(rounds: Callable[[int], object]) -> None:
    """Compares the state after a warm-up with that after all rounds."""
    rounds(WARM_UP)
    before = State.now()
    rounds(ROUNDS)
    State.now().is_flat(before)


async def stays_flat_meanwhile(rounds: Callable[[int], Awaitable[object]]) -> None:
    """The same on a loop that goes on."""
    await rounds(WARM_UP)
    before = State.now()
    await rounds(ROUNDS)
    State.now().is_flat(before)


@pytest.mark.stores("memory", "sqlite", "redis")
@alone
def test_threads_leak_nothing(url: str, key: str) -> None:
    lock = tenure.connect(url).mutex(key)

    def rounds(count: int) -> None:
        for _ in range(count):
            with lock:
                pass

    stays_flat(rounds)


@pytest.mark.stores("memory", "sqlite", "redis")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@alone
def test_asyncio_leaks_nothing(run: Callable[..., Any], url: str, key: str) -> None:
    lock = tenure.aio.connect(url).mutex(key)

    async def rounds(count: int) -> None:
        for _ in range(count):
            async with lock:
                pass

    run(stays_flat_meanwhile(rounds))


@alone
def test_refusals_leak_nothing() -> None:
    locks = tenure.connect("memory:")
    lock = locks.mutex("k", wait=0)

    def rounds(count: int) -> None:
        for _ in range(count // 5):
            assert locks.mutex("k").try_acquire() is None
            with pytest.raises(tenure.Error):
                locks.mutex("", ttl=0).acquire()

    with lock:
        stays_flat(rounds)


@alone
def test_forgotten_guards_leak_nothing() -> None:
    locks = tenure.connect("memory:")

    def rounds(count: int) -> None:
        for _ in range(count):
            locks.mutex("k", wait=60).acquire()

    stays_flat(rounds)


@alone
def test_cancelled_waits_leak_nothing() -> None:
    locks = tenure.aio.connect("memory:")

    async def rounds(count: int) -> None:
        async with locks.mutex("k"):
            for _ in range(count // 5):
                waiter = asyncio.ensure_future(locks.mutex("k").acquire())
                await asyncio.sleep(0)
                waiter.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiter

    asyncio.run(stays_flat_meanwhile(rounds))


@alone
def test_loops_leak_nothing() -> None:
    locks = tenure.aio.connect("memory:")

    async def main() -> None:
        async with locks.mutex("k"):
            pass

    def rounds(count: int) -> None:
        for _ in range(count // 50):
            asyncio.run(main())

    stays_flat(rounds)
