"""A loss ends the body of a scope, and the body's own error comes first."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import tenure
import tenure.aio
from tenure import _tenure


class Store:
    """A store whose locks the test can lose."""

    def __init__(self) -> None:
        self.world = _tenure.World(None)
        self.locks = tenure.Locks(self.world.locks())
        self.aio = tenure.aio.Locks(self.world.locks())


@pytest.fixture
def store() -> Store:
    return Store()


def cancellations() -> int:
    """The cancellations of this task that nobody has taken back."""
    task: Any = asyncio.current_task()
    return task.cancelling() if hasattr(task, "cancelling") else 0


async def test_the_body_is_cancelled_and_the_scope_raises(store: Store) -> None:
    came_on = False
    with pytest.raises(tenure.LockLost) as lost:
        async with store.aio.mutex("k"):
            store.world.lose("k")
            await asyncio.Event().wait()
            came_on = True
    assert not came_on
    assert lost.value.key == "k"
    assert cancellations() == 0
    await asyncio.sleep(0.01)  # a cancellation that was left behind would come here


async def test_the_bodys_own_error_comes_first_with_the_loss_as_its_context(store: Store) -> None:
    with pytest.raises(ValueError, match="its own") as own:
        async with store.aio.mutex("k", on_lost="raise") as lock:
            store.world.lose("k")
            assert "the store no longer has it" in await lock.lost
            raise ValueError("its own")
    assert isinstance(own.value.__context__, tenure.LockLost)


async def test_a_body_that_ends_before_it_is_cancelled_is_told_at_the_end(store: Store) -> None:
    with pytest.raises(tenure.LockLost):
        async with store.aio.mutex("k") as lock:
            store.world.lose("k")
            while lock.held:  # without the loop, which therefore cancels nothing
                pass
    assert cancellations() == 0
    await asyncio.sleep(0.01)


async def test_a_cancellation_from_outside_stays_one(store: Store) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with store.aio.mutex("k"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await store.aio.mutex("k").held_by_anyone()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="cancellations are not counted there")
async def test_a_cancellation_that_meets_the_end_of_a_lost_scope_is_not_swallowed(
    store: Store,
) -> None:
    reached = []

    async def work() -> None:
        async with store.aio.mutex("k"):
            store.world.lose("k")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # The body ends as if nothing had been, and somebody cancels it meanwhile.
                asyncio.get_running_loop().call_soon(task.cancel)
        reached.append("behind the scope")

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == []


@pytest.mark.parametrize("options", [{"on_lost": "ignore"}, {"raise_on_lost": False}])
async def test_finished_work_may_stand_and_a_warning_says_so(
    store: Store, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with store.aio.mutex("k", **options) as lock:
        store.world.lose("k")
        await lock.lost
    assert "had been lost before its work was done" in caplog.text
    with store.locks.mutex("k", **options) as blocking:
        store.world.lose("k")
        blocking.wait_lost()


async def test_a_lock_that_the_body_gave_back_is_not_lost(store: Store) -> None:
    async with store.aio.mutex("k") as lock:
        await lock.release()
        await asyncio.sleep(0.05)  # the body would be cancelled here
    async with store.aio.mutex("k") as lock:
        ticket = await lock.hand_over(5)
        await asyncio.sleep(0.05)
    await (await store.aio.adopt(ticket)).release()
    with store.locks.mutex("k") as blocking:
        blocking.release()


@pytest.mark.parametrize("inner", ["outer", "inner"])
async def test_each_of_two_scopes_is_told_of_its_own_loss(store: Store, inner: str) -> None:
    reached = []
    with pytest.raises(tenure.LockLost) as lost:
        async with store.aio.mutex("outer"):
            async with store.aio.mutex("inner"):
                store.world.lose(inner)
                await asyncio.Event().wait()
            reached.append("behind the inner one")
    assert lost.value.key == inner
    assert reached == []
    assert not await store.aio.mutex("outer").held_by_anyone()
    assert cancellations() == 0


def test_a_thread_is_told_at_the_end_and_by_check(store: Store) -> None:
    with pytest.raises(tenure.LockLost), store.locks.mutex("k") as lock:
        store.world.lose("k")
        lock.wait_lost()
    with pytest.raises(ValueError, match="its own") as own, store.locks.mutex("k") as lock:
        store.world.lose("k")
        lock.wait_lost()
        raise ValueError("its own")
    assert isinstance(own.value.__context__, tenure.LockLost)
    with store.locks.mutex("k", on_lost="ignore") as lock:
        store.world.lose("k")
        lock.wait_lost()
        with pytest.raises(tenure.LockLost):
            lock.check()


async def test_a_compensation_is_told_of_the_loss(store: Store) -> None:
    seen: list[BaseException] = []

    async def work(_: tenure.aio.Guard) -> None:
        store.world.lose("k")
        await asyncio.Event().wait()

    async def undo(_: tenure.aio.Guard, error: BaseException) -> None:
        await asyncio.sleep(0.01)
        seen.append(error)

    with pytest.raises(tenure.LockLost):
        await store.aio.mutex("k").run(work, compensation=undo)
    assert isinstance(seen[0], tenure.LockLost)


def test_a_compensation_runs_before_others_get_the_lock(store: Store) -> None:
    def work(_: tenure.Guard) -> None:
        raise ValueError("half done")

    def undo(_: tenure.Guard, error: BaseException) -> None:
        assert isinstance(error, ValueError)
        assert store.locks.mutex("k").try_acquire() is None

    with pytest.raises(ValueError, match="half done"):
        store.locks.mutex("k").run(work, compensation=undo)
    assert not store.locks.mutex("k").held_by_anyone()


def test_a_scope_may_be_left_by_another_thread(store: Store) -> None:
    mutex = store.locks.mutex("k")
    mutex.__enter__()
    thread = threading.Thread(target=lambda: mutex.__exit__(None, None, None))
    thread.start()
    thread.join()
    assert not store.locks.mutex("k").held_by_anyone()


def test_generators_of_one_thread_leave_their_own_scopes() -> None:
    semaphore = tenure.connect("memory:").semaphore("s", 2)

    def held() -> Iterator[tenure.Guard]:
        with semaphore as guard:
            yield guard

    one, two = held(), held()
    first, second = next(one), next(two)
    one.close()
    assert (first.held, second.held) == (False, True)
    two.close()
    assert not second.held


async def test_generators_of_one_task_leave_their_own_scopes() -> None:
    semaphore = tenure.aio.connect("memory:").semaphore("s", 2)

    async def held() -> AsyncGenerator[tenure.aio.Guard, None]:
        async with semaphore as guard:
            yield guard

    one, two = held(), held()
    first, second = await anext(one), await anext(two)
    await one.aclose()
    assert (first.held, second.held) == (False, True)
    await two.aclose()
    assert not second.held


async def test_a_stack_of_scopes_leaves_them_all(store: Store) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for key in "abc":
            await stack.enter_async_context(store.aio.mutex(key))
    with contextlib.ExitStack() as blocking:
        for key in "abc":
            blocking.enter_context(store.locks.mutex(key))
    assert await store.aio.list() == []


async def test_a_loss_stays_in_the_chain_of_an_error_that_the_cancellation_caused(
    store: Store,
) -> None:
    with pytest.raises(ValueError, match="its own") as own:
        async with store.aio.mutex("k"):
            store.world.lose("k")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("its own")  # noqa: B904
    cancelled = own.value.__context__
    assert isinstance(cancelled, asyncio.CancelledError)
    assert isinstance(cancelled.__context__, tenure.LockLost)


async def test_a_scope_whose_lock_is_lost_waits_for_no_release(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(tenure.LockLost):
        async with store.aio.mutex("k"):
            store.world.lose("k")
            store.world.fail(True)
    store.world.fail(False)
    with pytest.raises(tenure.LockLost), store.locks.mutex("k") as lock:
        store.world.lose("k")
        store.world.fail(True)
        lock.wait_lost()
    assert "goes on in the background" not in caplog.text, "no release was tried"


async def test_an_unreachable_store_at_the_end_leaves_the_work_as_it_is(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with store.aio.mutex("k"):
        store.world.fail(True)
    store.world.fail(False)
    assert "goes on in the background" in caplog.text


Verb = Callable[[tenure.aio.Mutex], Awaitable[object]]


async def scope(mutex: tenure.aio.Mutex) -> None:
    async with mutex:
        await asyncio.sleep(0)


async def extended(mutex: tenure.aio.Mutex) -> None:
    guard = await mutex.acquire()
    await guard.extend_by(5)


async def released(mutex: tenure.aio.Mutex) -> None:
    guard = await mutex.acquire()
    await guard.release()


async def acquired(mutex: tenure.aio.Mutex) -> None:
    await mutex.acquire()


async def handed_over(mutex: tenure.aio.Mutex) -> None:
    guard = await mutex.acquire()
    guard = await mutex.adopt(await guard.hand_over(1))
    await guard.release()


@pytest.mark.parametrize("verb", [scope, extended, released, acquired, handed_over])
async def test_cancelled_at_any_await_it_leaves_nothing_behind(
    url: str, key: str, verb: Verb
) -> None:
    # A ticket that nobody was told of lasts for the rest of its lease; an orphan for minutes.
    mutex = tenure.aio.connect(url).mutex(key, ttl=1 if verb is handed_over else 250)
    await mutex.held_by_anyone()
    for steps in range(60):
        task = asyncio.ensure_future(verb(mutex))
        for _ in range(steps):
            await asyncio.sleep(0)
        is_last = task.done()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        del task
        while await mutex.held_by_anyone():
            await asyncio.sleep(0.001)
        if is_last:
            return


async def test_a_grant_that_comes_with_the_cancellation_is_given_back(url: str, key: str) -> None:
    mutex = tenure.aio.connect(url).mutex(key, ttl=250)
    for steps in range(40):
        holder = await mutex.acquire()
        waiter = asyncio.create_task(mutex.acquire())
        for _ in range(3):
            await asyncio.sleep(0)
        release = asyncio.create_task(holder.release())
        for _ in range(steps % 8):
            await asyncio.sleep(0)
        waiter.cancel()
        try:
            guard = await waiter
        except asyncio.CancelledError:
            pass
        else:
            await guard.release()
        await release
    while await mutex.held_by_anyone():
        await asyncio.sleep(0.001)
