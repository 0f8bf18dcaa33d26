"""`tenure.compat.redis.asyncio` does what redis-py's lock does: the same tests run with both."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
import redis.asyncio.lock
import redis.lock
from places import PATIENCE, Server
from redis.exceptions import LockError, LockNotOwnedError, ResponseError

from tenure.compat.redis import Lock as BlockingLock
from tenure.compat.redis.asyncio import Lock

CLASSES = [redis.asyncio.lock.Lock, Lock]
VERBS = ["acquire", "release", "extend", "reacquire", "locked", "owned"]

Run = Callable[[Callable[[Any], Awaitable[None]]], None]


@pytest.fixture(params=CLASSES, ids=["redis-py", "tenure"])
def kind(request: pytest.FixtureRequest) -> Any:
    """A class of locks."""
    return request.param


@pytest.fixture
def run(server: Server) -> Run:
    """Runs a coroutine function with a client, on a loop of its own."""

    async def with_client(test: Callable[[Any], Awaitable[None]]) -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            await asyncio.wait_for(test(client), 2 * PATIENCE)

    return lambda test: asyncio.run(with_client(test))


async def until_not(is_so: Callable[[], Awaitable[Any]]) -> None:
    """Waits until it is not so."""
    while await is_so():
        await asyncio.sleep(0.005)


def names(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


def test_the_signatures_are_those_of_redis_py() -> None:
    ours = names(Lock.__init__)
    assert ours[:-1] == names(redis.asyncio.lock.Lock.__init__)
    assert ours[-1] == ("raise_on_exit_timeout", inspect.Parameter.KEYWORD_ONLY, None)
    for verb in VERBS:
        theirs = getattr(redis.asyncio.lock.Lock, verb)
        assert names(getattr(Lock, verb)) == names(theirs), verb


def test_a_token_that_holds_the_lock_is_waited_for(run: Run, kind: Any, name: str) -> None:
    async def test(client: Any) -> None:
        held = kind(client, name, timeout=60)
        assert await held.acquire(token="me")
        same = kind(client, name, timeout=60, sleep=0.01)
        assert await same.acquire(token="me", blocking=False) is False
        assert await same.acquire(token="me", blocking_timeout=0.15) is False
        waiting = asyncio.create_task(same.acquire(token="me"))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done, "there are two holders"
        await held.release()
        assert await waiting is True
        await same.release()

    run(test)


def test_a_lock_is_acquired_once_and_its_value_is_the_token(
    run: Run, kind: Any, name: str
) -> None:
    async def test(client: Any) -> None:
        first = client.lock(name, timeout=10, lock_class=kind)
        second = client.lock(name, timeout=10, lock_class=kind)
        assert not await first.locked() and not await first.owned()
        assert await first.acquire(blocking=False, token="text") is True
        assert await client.get(name) == first.local.token == b"text"
        assert await second.acquire(blocking=False) is False
        assert await second.acquire(blocking_timeout=0.05) is False
        assert await second.locked() and not await second.owned()
        assert await first.owned()
        await first.release()
        assert first.local.token is None
        # It may go to the wait that has just ended, and come back.
        await until_not(first.locked)
        async with second:
            assert await client.get(name) == second.local.token
            assert 0 < await client.pttl(name) <= 10_000

    run(test)


def test_time_is_added_and_replaced(run: Run, kind: Any, name: str) -> None:
    async def test(client: Any) -> None:
        lock = kind(client, name, timeout=20)
        async with lock:
            assert await lock.extend(100) is True
            assert 100_000 < await client.pttl(name) <= 120_000
            assert await lock.extend(10, replace_ttl=True) is True
            assert 0 < await client.pttl(name) <= 10_000
            assert await lock.reacquire() is True
            assert 10_000 < await client.pttl(name) <= 20_000

    run(test)


def test_errors_are_those_of_redis_py(run: Run, kind: Any, name: str) -> None:
    async def test(client: Any) -> None:
        lock = kind(client, name, timeout=10)
        with pytest.raises(LockError, match="not owned or is already unlocked"):
            await lock.release()
        with pytest.raises(LockError, match="Cannot extend an unlocked lock"):
            lock.extend(1)
        with pytest.raises(LockError, match="Cannot reacquire an unlocked lock"):
            lock.reacquire()
        forever = kind(client, name)
        async with forever:
            with pytest.raises(LockError, match="Cannot extend a lock with no timeout"):
                forever.extend(1)
            with pytest.raises(LockError, match="Unable to acquire lock within the time"):
                async with kind(client, name, blocking_timeout=0):
                    raise AssertionError("there are two holders")
        with pytest.raises(ResponseError, match="invalid expire time"):
            await kind(client, name, timeout=-1).acquire()

    run(test)


def test_a_lock_that_has_ended_is_not_owned_any_more(run: Run, kind: Any, name: str) -> None:
    async def test(client: Any) -> None:
        lock = kind(client, name, timeout=0.2)
        assert await lock.acquire()
        await until_not(lambda: client.exists(name))
        assert not await lock.owned()
        with pytest.raises(LockNotOwnedError, match="Cannot extend a lock that's no longer"):
            await lock.extend(1)
        with pytest.raises(LockNotOwnedError, match="Cannot release a lock that's no longer"):
            await lock.release()
        assert lock.local.token is None
        with pytest.raises(LockNotOwnedError):
            async with kind(client, name, timeout=30):
                await client.delete(name)

    run(test)


def test_a_lost_lock_is_logged_where_the_program_wants_it(
    run: Run, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(client: Any) -> None:
        for word in ("raise_on_release_error", "raise_on_exit_timeout"):
            async with Lock(client, name, timeout=30, **{word: False}):
                await client.delete(name)

    with caplog.at_level(logging.WARNING):
        run(test)
    assert caplog.messages == 2 * [
        "Lock was unlocked or no longer owned when exiting context manager."
    ]


@pytest.mark.parametrize("holder", CLASSES)
@pytest.mark.parametrize("waiter", CLASSES)
def test_both_kinds_of_locks_exclude_each_other(
    run: Run, name: str, holder: Any, waiter: Any
) -> None:
    async def test(client: Any) -> None:
        held = holder(client, name, timeout=60)
        assert await held.acquire()
        wanting = waiter(client, name, timeout=60, sleep=0.01)
        assert await wanting.acquire(blocking=False) is False
        waiting = asyncio.create_task(wanting.acquire(blocking_timeout=PATIENCE))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await held.release()
        assert await waiting is True
        await wanting.release()
        assert not await client.exists(name)

    run(test)


def test_a_lock_of_redis_py_without_a_timeout_is_waited_for(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        held = redis.asyncio.lock.Lock(client, name)
        assert await held.acquire()
        wanting = Lock(client, name, timeout=60, sleep=0.005)
        assert await wanting.acquire(blocking=False) is False
        assert await wanting.acquire(blocking_timeout=0.05) is False
        waiting = asyncio.create_task(wanting.acquire())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await held.release()
        assert await waiting is True
        await wanting.release()

    run(test)


def test_a_lock_of_threads_and_one_of_a_loop_exclude_each_other(
    run: Run, server: Server, name: str
) -> None:
    async def test(client: Any) -> None:
        with redis.Redis(port=server.port) as blocking:
            theirs = BlockingLock(blocking, name, timeout=60)
            ours = Lock(client, name, timeout=60)
            assert theirs.acquire()
            assert await ours.acquire(blocking=False) is False
            # One process, one connection, one lease: the token is what counts.
            ours.local.token = theirs.local.token
            await ours.release()
            assert not theirs.locked()
            assert await ours.acquire(blocking=False)
            assert theirs.acquire(blocking=False) is False
            await ours.release()

    run(test)


def test_a_cancelled_wait_leaves_nothing_behind(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        held = Lock(client, name, timeout=60)
        assert await held.acquire()
        waiting = asyncio.create_task(Lock(client, name, timeout=60).acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await held.release()
        assert await Lock(client, name, timeout=60, blocking_timeout=PATIENCE).acquire()

    run(test)


def test_a_token_serves_in_another_task(run: Run, kind: Any, name: str) -> None:
    async def test(client: Any) -> None:
        first = kind(client, name, timeout=30)
        assert await first.acquire()

        async def work(token: bytes) -> None:
            second = kind(client, name, timeout=90)
            second.local.token = token
            assert await second.owned()
            await second.reacquire()
            await second.release()

        await asyncio.create_task(work(first.local.token))
        assert not await first.locked()

    run(test)


def test_many_tasks_take_turns(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        inside = 0

        async def work(kind: Any) -> None:
            nonlocal inside
            for _ in range(5):
                async with kind(client, name, timeout=30, sleep=0.005):
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0.001)
                    inside -= 1

        await asyncio.gather(*(work(kind) for kind in CLASSES * 4))

    run(test)
