"""Nothing grows: memory and descriptors stay as they are, however often a lock is taken."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any

import pytest
import tenure
import tenure.aio
import uvloop

# `TENURE_TORTURE=1` finds a leak of some bytes for each lock, the short form one of some hundred.
ROUNDS = 100_000 if os.environ.get("TENURE_TORTURE") else 5_000
# KiB by which a process may grow all the same, since its allocators keep what they have once had.
SLACK = 1_500


def _resident() -> int:
    """KiB of memory of this process."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _stays_flat(rounds: Callable[[int], object]) -> None:
    """Compares after a warm-up with after all rounds."""
    rounds(ROUNDS // 5)
    before = _resident(), _descriptors(), _threads()
    rounds(ROUNDS)
    after = _resident(), _descriptors(), _threads()
    assert after[0] - before[0] <= SLACK, f"{before[0]} KiB, and {after[0]} after {ROUNDS} rounds"
    assert after[1:] == before[1:]


@pytest.mark.stores("memory", "sqlite", "redis")
def test_threads_leak_nothing(url: str, key: str) -> None:
    lock = tenure.connect(url).mutex(key)

    def rounds(count: int) -> None:
        for _ in range(count):
            with lock:
                pass

    _stays_flat(rounds)


@pytest.mark.stores("memory", "sqlite", "redis")
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_asyncio_leaks_nothing(run: Callable[..., Any], url: str, key: str) -> None:
    lock = tenure.aio.connect(url).mutex(key)

    async def rounds(count: int) -> None:
        for _ in range(count):
            async with lock:
                pass

    async def main() -> None:
        # One loop for all: the warm-up has opened its descriptors.
        loop = asyncio.get_running_loop()
        await rounds(ROUNDS // 5)
        before = _resident(), _descriptors(), _threads()
        await rounds(ROUNDS)
        after = _resident(), _descriptors(), _threads()
        grown = after[0] - before[0]
        assert grown <= SLACK, f"{grown} KiB more after {ROUNDS} rounds"
        assert after[1:] == before[1:]
        assert loop.is_running()

    run(main())


def test_refusals_leak_nothing() -> None:
    locks = tenure.connect("memory:")
    lock = locks.mutex("k", wait=0)

    def rounds(count: int) -> None:
        for _ in range(count // 5):
            assert locks.mutex("k").try_acquire() is None
            with pytest.raises(tenure.Error):
                locks.mutex("", ttl=0).acquire()

    with lock:
        _stays_flat(rounds)


def test_forgotten_guards_leak_nothing() -> None:
    locks = tenure.connect("memory:")

    def rounds(count: int) -> None:
        for _ in range(count):
            locks.mutex("k", wait=60).acquire()

    _stays_flat(rounds)


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

    async def main() -> None:
        await rounds(ROUNDS)
        before = _resident(), _descriptors(), _threads()
        await rounds(5 * ROUNDS)
        grown = _resident() - before[0]
        assert grown <= SLACK, f"{grown} KiB more after {ROUNDS} rounds"
        assert (_descriptors(), _threads()) == before[1:]

    asyncio.run(main())


def test_loops_leak_nothing() -> None:
    locks = tenure.aio.connect("memory:")

    async def main() -> None:
        async with locks.mutex("k"):
            pass

    def rounds(count: int) -> None:
        for _ in range(count // 50):
            asyncio.run(main())

    _stays_flat(rounds)
