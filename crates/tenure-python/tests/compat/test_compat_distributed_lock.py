"""Programs written for a ``DistributedLock`` of asyncio, with one import changed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio
from places import PATIENCE, Server

from tenure.compat import distributed_lock as module
from tenure.compat.distributed_lock import (
    DistributedLock,
    distributed_lock,
    distributed_lock_decorator,
    set_client,
)

Run = Callable[[Callable[[Any], Awaitable[None]]], None]


@pytest.fixture
def run(server: Server) -> Run:
    """Runs a coroutine function with a client, on a loop of its own."""

    async def with_client(test: Callable[[Any], Awaitable[None]]) -> None:
        async with redis.asyncio.Redis(port=server.port) as client:
            await asyncio.wait_for(test(client), 2 * PATIENCE)

    return lambda test: asyncio.run(with_client(test))


@pytest.fixture(autouse=True)
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without a client, and leaves none."""
    monkeypatch.setattr(module, "_client", None)


def test_the_signatures_are_those_of_the_class() -> None:
    parameters = list(inspect.signature(DistributedLock).parameters.values())
    assert [(each.name, each.default) for each in parameters[2:]] == [
        ("timeout", 30),
        ("retry_times", 0),
        ("retry_delay", 0.1),
        ("auto_renewal", False),
        ("renewal_interval", None),
    ]
    assert [each.name for each in parameters[:2]] == ["redis", "lock_name"]


def test_a_program_with_one_import_changed(run: Run, name: str) -> None:
    async def program(client: Any) -> None:
        lock = DistributedLock(client, name, timeout=10)
        assert await lock.acquire() is True
        assert 0 < await client.pttl(name) <= 10_000
        assert await lock.is_locked_by_anyone() and await lock.is_locked_by_me()
        other = DistributedLock(client, name, timeout=10)
        assert await other.acquire() is False
        assert await other.is_locked_by_anyone() and not await other.is_locked_by_me()
        assert await other.release() is False and await other.extend() is False
        assert await lock.extend(100) is True
        assert 100_000 < await client.pttl(name) <= 110_000
        assert await lock.extend() is True
        assert 0 < await client.pttl(name) <= 10_000
        assert await lock.release() is True
        assert await lock.release() is False
        assert not await lock.is_locked_by_anyone()

    run(program)


def test_it_excludes_the_lock_of_redis_py(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        async with DistributedLock(client, name):
            assert await client.lock(name, timeout=9).acquire(blocking=False) is False
        async with client.lock(name, timeout=9):
            assert await DistributedLock(client, name).acquire() is False

    run(test)


def test_tries_are_a_time_of_waiting(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        held = DistributedLock(client, name)
        assert await held.acquire()
        short = DistributedLock(client, name, retry_times=2, retry_delay=0.02)
        assert await short.acquire() is False
        patient = DistributedLock(client, name, retry_times=600, retry_delay=0.1)
        assert await patient.acquire(blocking=False) is False
        waiting = asyncio.create_task(patient.acquire())
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        await held.release()
        assert await waiting is True
        assert await patient.release() is True

    run(test)


def test_renewal_lets_the_lock_outlive_its_timeout(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        renewed = DistributedLock(
            client, name, timeout=2, auto_renewal=True, renewal_interval=0.05
        )
        async with renewed:
            # Each renewal puts the end off.
            ends = {await client.pexpiretime(name)}
            while len(ends) < 4:
                ends.add(await client.pexpiretime(name))
                await asyncio.sleep(0.005)
            assert await renewed.is_locked_by_me()
        assert not await client.exists(name)

    run(test)


def test_a_with_that_gets_no_lock_is_an_error(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        async with distributed_lock(name, redis=client):
            with pytest.raises(RuntimeError, match=name):
                async with distributed_lock(name, redis=client, timeout=5):
                    raise AssertionError("there are two holders")

    run(test)


def test_a_lock_that_has_ended_is_logged(
    run: Run, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(client: Any) -> None:
        async with DistributedLock(client, name):
            await client.delete(name)

    with caplog.at_level(logging.WARNING):
        run(test)
    assert any(name in message for message in caplog.messages)


def test_the_client_is_an_argument_or_set_once_or_a_function(run: Run, name: str) -> None:
    async def test(client: Any) -> None:
        for set_to, redis_argument in [(client, None), (lambda: client, None),
                                       (None, client), (None, lambda: client)]:
            set_client(set_to)
            async with distributed_lock(name, redis=redis_argument, timeout=5) as lock:
                assert await lock.is_locked_by_me()

    run(test)


def test_without_a_client_the_error_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"set_client\(client\)"):
        distributed_lock("key")


def test_a_decorated_function_runs_under_its_lock(run: Run, name: str) -> None:
    seen: list[str] = []

    @distributed_lock_decorator(name + ":{item}", timeout=5)
    async def buy(item: str, client: Any) -> str:
        """Buys."""
        seen.append(item)
        assert await client.exists(f"{name}:{item}")
        if item == "nested":
            with pytest.raises(RuntimeError):
                await buy(item, client)
        return item

    @distributed_lock_decorator()
    async def whole(client: Any) -> bool:
        return bool(await client.exists(f"{whole.__module__}.{whole.__qualname__}"))

    async def test(client: Any) -> None:
        set_client(client)
        assert await buy("book", client) == "book"
        assert await buy("nested", client) == "nested"
        assert await whole(client)
        assert buy.__doc__ == "Buys."

    run(test)
    assert seen == ["book", "nested"]


def test_mistakes_are_refused() -> None:
    client = redis.asyncio.Redis()
    with pytest.raises(ValueError, match="0 or more"):
        DistributedLock(client, "key", retry_times=-1)
    with pytest.raises(ValueError, match="auto_renewal=True"):
        DistributedLock(client, "key", renewal_interval=1)
    with pytest.raises(TypeError, match="no coroutine function"):
        distributed_lock_decorator("key")(lambda: None)  # type: ignore[arg-type, return-value]
