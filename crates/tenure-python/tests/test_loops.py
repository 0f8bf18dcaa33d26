"""Event loops: several at a time, one after the other, and none that keeps a store alive."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tenure
import tenure.aio
import uvloop
from ways import PATIENCE

RUNS = [asyncio.run, uvloop.run]


@pytest.mark.parametrize("run", RUNS)
def test_two_loops_in_two_threads_share_the_locks(
    run: Callable[..., Any], url: str, key: str
) -> None:
    locks = tenure.aio.connect(url)
    inside: list[int] = []
    both = threading.Barrier(2)

    async def main() -> int:
        both.wait(60)
        grants = 0
        for _ in range(10):
            async with locks.mutex(key, wait=60):
                inside.append(1)
                assert len(inside) == 1
                await asyncio.sleep(0)
                inside.pop()
                grants += 1
        return grants

    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(run, main()) for _ in range(2)]
        assert [end.result(120) for end in ends] == [10, 10]


@pytest.mark.parametrize("run", RUNS)
def test_one_loop_after_the_other_uses_the_locks(
    run: Callable[..., Any], url: str, key: str
) -> None:
    locks = tenure.aio.connect(url)

    async def main() -> int:
        async with locks.mutex(key) as guard:
            return guard.fence

    fences = [run(main()) for _ in range(3)]
    assert fences == sorted(set(fences))


@pytest.mark.parametrize("run", RUNS)
def test_a_closed_loop_is_forgotten(run: Callable[..., Any]) -> None:
    seen: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    locks = tenure.aio.connect("memory:")

    async def main() -> None:
        seen.append(weakref.ref(asyncio.get_running_loop()))
        async with locks.mutex("k"):
            pass

    run(main())
    gc.collect()
    assert seen[0]() is None


def test_a_guard_may_be_released_on_another_loop(url: str, key: str) -> None:
    locks = tenure.aio.connect(url)
    guard = asyncio.run(locks.mutex(key).acquire())
    assert guard.held
    assert uvloop.run(guard.release()) == "released"


async def test_a_thread_and_a_loop_exclude_each_other(url: str, key: str) -> None:
    locks = tenure.aio.connect(url)
    blocking = await asyncio.to_thread(locks.blocking.mutex(key).acquire)
    waiter = asyncio.create_task(locks.mutex(key, wait=60).acquire())
    await asyncio.sleep(0)
    assert not waiter.done()
    await asyncio.to_thread(blocking.release)
    guard = await waiter
    assert guard.fence > blocking.fence
    await guard.release()


async def test_a_wait_does_not_block_the_loop(url: str, key: str) -> None:
    locks = tenure.aio.connect(url)
    async with locks.mutex(key):
        waiter = asyncio.create_task(locks.mutex(key, wait=60).acquire())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiter.done()
    await (await waiter).release()


def test_without_a_loop_it_says_so() -> None:
    locks = tenure.aio.connect("memory:")
    verb = locks.mutex("k").acquire()
    with pytest.raises(RuntimeError, match="no running event loop"):
        verb.send(None)


@pytest.mark.stores("memory")
def test_a_loop_that_is_closed_with_a_wait_under_way_leaves_no_orphan(url: str, key: str) -> None:
    locks = tenure.aio.connect(url)
    blocking = locks.blocking
    held = blocking.mutex(key).acquire()
    loop = asyncio.new_event_loop()
    waits = loop.create_task(locks.mutex(key, ttl=250).acquire())
    while not blocking.mutex(key).inspect().waiters:
        loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    waits._log_destroy_pending = False  # type: ignore[attr-defined]
    del waits, loop
    gc.collect()
    held.release()
    limit = time.monotonic() + PATIENCE
    while blocking.mutex(key).held_by_anyone():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_loops_that_begin_at_the_same_time_do_not_meet() -> None:
    locks = tenure.aio.connect("memory:")
    failed: list[BaseException] = []

    async def scope(key: str) -> None:
        async with locks.mutex(key):
            await asyncio.sleep(0)

    def loops(key: str) -> None:
        try:
            for _ in range(100):
                asyncio.run(scope(key))
        except BaseException as error:
            failed.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=loops, args=(f"k{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert failed == []
