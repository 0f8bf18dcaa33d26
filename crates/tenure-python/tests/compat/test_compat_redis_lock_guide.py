"""Programs written after a guide to locks with Redis, with one import in place of the functions."""

from __future__ import annotations

import inspect
import logging
import threading
import time
import uuid
from typing import Any

import pytest
import redis
from places import PATIENCE, until
from redis.exceptions import DataError, LockNotOwnedError

from tenure.compat.redis_lock_guide import (
    RedisLock,
    acquire_lock,
    execute_with_lock,
    extend_lock,
    release_lock,
)


def guides_acquire(client: redis.Redis, lock_name: str, identifier: str) -> bool:
    """The function as guides write it."""
    return bool(client.set(lock_name, identifier, nx=True, ex=30))


def guides_release(client: redis.Redis, lock_name: str, identifier: str) -> bool:
    """The function as guides write it."""
    with client.pipeline() as pipe:
        pipe.watch(lock_name)
        if pipe.get(lock_name) != identifier.encode():
            return False
        pipe.multi()
        pipe.delete(lock_name)
        pipe.execute()
        return True


def test_the_signatures_are_those_of_the_guides() -> None:
    def defaults(function: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(function).parameters.values()
        empty = inspect.Parameter.empty
        return [(each.name, None if each.default is empty else each.default) for each in parameters]

    assert defaults(acquire_lock) == [
        ("client", None),
        ("lock_name", None),
        ("identifier", None),
        ("acquire_timeout", 10),
        ("lock_timeout", 10),
    ]
    assert [key for key, _ in defaults(release_lock)] == ["client", "lock_name", "identifier"]
    assert [key for key, _ in defaults(extend_lock)][:3] == ["client", "lock_name", "identifier"]
    assert defaults(RedisLock) == [
        ("client", None),
        ("lock_name", None),
        ("acquire_timeout", 10),
        ("lock_timeout", 10),
    ]


def test_a_program_with_one_import_changed(client: redis.Redis, name: str) -> None:
    identifier, other = str(uuid.uuid4()), str(uuid.uuid4())
    assert acquire_lock(client, name, identifier, acquire_timeout=5, lock_timeout=10)
    try:
        assert client.get(name) == identifier.encode()
        assert 0 < client.pttl(name) <= 10_000
        assert acquire_lock(client, name, other, acquire_timeout=0) is False
        assert acquire_lock(client, name, other, acquire_timeout=0.05) is False
        assert extend_lock(client, name, other, 60) is False
        assert extend_lock(client, name, identifier, 60) is True
        assert 10_000 < client.pttl(name) <= 60_000
        assert release_lock(client, name, other) is False
    finally:
        assert release_lock(client, name, identifier) is True
    assert release_lock(client, name, identifier) is False
    # It may go to the wait that has just ended, and come back.
    until(lambda: not client.exists(name))


def test_an_identifier_that_has_the_lock_does_not_get_it_again(
    client: redis.Redis, name: str
) -> None:
    assert acquire_lock(client, name, "id", 1, 60)
    for limit in (0.15, 0):
        assert acquire_lock(client, name, "id", limit, 60) is False
    assert release_lock(client, name, "id")


def test_threads_that_share_an_object_wait_their_turn(client: redis.Redis, name: str) -> None:
    lock = RedisLock(client, name, acquire_timeout=PATIENCE, lock_timeout=60)
    inside: list[int] = []
    done: list[int] = []

    def work(number: int) -> None:
        with lock:
            inside.append(number)
            time.sleep(0.05)
            assert inside == [number]
            inside.remove(number)
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(done) == [0, 1, 2]
    assert not client.exists(name)


def test_an_identifier_is_written_as_redis_py_does(client: redis.Redis, name: str) -> None:
    identifiers: list[tuple[Any, bytes]] = [
        (5, b"5"),
        (1.5, b"1.5"),
        (b"bytes", b"bytes"),
        (memoryview(b"view"), b"view"),
    ]
    for identifier, stored in identifiers:
        assert acquire_lock(client, name, identifier, acquire_timeout=1)
        assert client.get(name) == stored
        assert extend_lock(client, name, identifier, 60)
        # Another process has the identifier alone.
        assert extend_lock(client, name, stored, 1)
        assert extend_lock(client, name, identifier, 60)
        assert release_lock(client, name, identifier)
        assert not client.exists(name)
    for refused in (True, uuid.uuid4(), None, [1]):
        for function in (acquire_lock, extend_lock, release_lock):
            with pytest.raises(DataError, match=type(refused).__name__):
                function(client, name, refused)  # type: ignore[operator]
    assert not client.exists(name)


def test_a_name_is_written_as_redis_py_does(client: redis.Redis) -> None:
    number: Any = time.time_ns()
    with RedisLock(client, number):
        assert client.exists(str(number))
        with pytest.raises(TimeoutError, match=str(number)):
            with RedisLock(client, number, acquire_timeout=0):
                raise AssertionError("there are two holders")


def test_programs_with_the_guides_own_functions_are_excluded(
    client: redis.Redis, name: str
) -> None:
    assert guides_acquire(client, name, "theirs")
    assert acquire_lock(client, name, "ours", acquire_timeout=0) is False
    assert guides_release(client, name, "theirs")
    assert acquire_lock(client, name, "ours", acquire_timeout=0)
    assert guides_acquire(client, name, "theirs") is False
    assert guides_release(client, name, "theirs") is False
    # Even a lock of the other kind, by its identifier.
    assert guides_release(client, name, "ours")
    assert guides_acquire(client, name, "theirs")
    assert extend_lock(client, name, "theirs", 100)
    assert release_lock(client, name, "theirs")


def test_stock_is_never_oversold(client: redis.Redis, name: str) -> None:
    stock = f"{name}:stock"
    client.set(stock, 5)
    sold: list[int] = []

    def buy(number: int) -> None:
        with RedisLock(client, name, acquire_timeout=PATIENCE, lock_timeout=30):
            left = int(client.get(stock))
            if left > 0:
                time.sleep(0.001)
                client.set(stock, left - 1)
                sold.append(number)

    threads = [threading.Thread(target=buy, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(sold) == 5 and int(client.get(stock)) == 0


def test_the_class_of_the_guides(
    client: redis.Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    lock = RedisLock(client, name, acquire_timeout=PATIENCE, lock_timeout=60)
    assert lock.acquire() is True
    assert client.get(name) == lock.identifier.encode()
    with pytest.raises(TimeoutError, match=name):
        with RedisLock(client, name, acquire_timeout=0):
            raise AssertionError("there are two holders")
    assert lock.release() is True
    assert lock.release() is False
    with caplog.at_level(logging.WARNING), lock as entered:
        assert entered is lock
        client.delete(name)
    assert any(name in message for message in caplog.messages)


def test_work_runs_under_the_lock(client: redis.Redis, name: str) -> None:
    assert execute_with_lock(client, name, lambda: client.pttl(name) > 0) is True
    assert not client.exists(name)
    with RedisLock(client, name):
        with pytest.raises(TimeoutError, match=name):
            execute_with_lock(client, name, lambda: 1, acquire_timeout=0)


def test_work_that_fails_is_undone_under_the_lock(client: redis.Redis, name: str) -> None:
    undone: list[tuple[str, bool]] = []

    def undo(error: BaseException) -> None:
        undone.append((str(error), bool(client.exists(name))))

    def work() -> None:
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        execute_with_lock(client, name, work, compensation=undo)
    assert undone == [("half-way", True)]
    assert not client.exists(name)


def test_work_that_outlives_its_lock_is_undone_and_told(client: redis.Redis, name: str) -> None:
    undone: list[BaseException] = []

    def work() -> int:
        until(lambda: not client.exists(name))
        return 1

    with pytest.raises(LockNotOwnedError):
        execute_with_lock(client, name, work, compensation=undone.append, lock_timeout=0.2)
    assert [type(error) for error in undone] == [LockNotOwnedError]
    with pytest.raises(LockNotOwnedError):
        execute_with_lock(client, name, work, lock_timeout=0.2)


def test_renewal_keeps_the_lock_while_the_work_runs(client: redis.Redis, name: str) -> None:
    def work() -> int:
        # Each renewal puts the end off.
        ends = {client.pexpiretime(name)}
        until(lambda: ends.add(client.pexpiretime(name)) or len(ends) > 3)
        return len(ends)

    assert execute_with_lock(client, name, work, lock_timeout=3, renew=True) > 3
