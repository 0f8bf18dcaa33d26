"""`tenure.compat.redis` does what redis-py's lock does: the same tests run with both classes."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.lock
from places import PATIENCE, Server, single, until
from redis.exceptions import DataError, LockError, LockNotOwnedError, ResponseError

from tenure.compat import _stores
from tenure.compat.redis import Lock

CLASSES = [redis.lock.Lock, Lock]
VERBS = ["acquire", "release", "extend", "reacquire", "locked", "owned"]


@pytest.fixture(params=CLASSES, ids=["redis-py", "tenure"])
def kind(request: pytest.FixtureRequest) -> Any:
    """A class of locks."""
    return request.param


def names(function: Any) -> list[tuple[str, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in parameters]


def test_the_signatures_are_those_of_redis_py() -> None:
    ours = names(Lock.__init__)
    assert ours[:-1] == names(redis.lock.Lock.__init__)
    assert ours[-1] == ("raise_on_exit_timeout", inspect.Parameter.KEYWORD_ONLY, None)
    for verb in VERBS:
        assert names(getattr(Lock, verb)) == names(getattr(redis.lock.Lock, verb)), verb


def test_the_attributes_are_those_of_redis_py(client: redis.Redis, name: str) -> None:
    theirs, ours = (vars(kind(client, name, 3, thread_local=0)) for kind in CLASSES)
    assert ours.keys() >= theirs.keys()
    assert {key: ours[key] for key in theirs if key != "local"} == {
        key: value for key, value in theirs.items() if key != "local"
    }
    assert ours["local"].token is None


def test_a_lock_is_acquired_once(client: redis.Redis, kind: Any, name: str) -> None:
    first = client.lock(name, timeout=10, lock_class=kind)
    second = client.lock(name, timeout=10, lock_class=kind)
    assert not first.locked() and not first.owned()
    assert first.acquire(blocking=False) is True
    assert second.acquire(blocking=False) is False
    assert first.locked() and second.locked()
    assert first.owned() and not second.owned()
    first.release()
    assert not first.locked() and not first.owned()
    assert second.acquire(blocking=False)
    second.release()


def test_the_value_of_the_key_is_the_token(client: redis.Redis, kind: Any, name: str) -> None:
    lock = kind(client, name, timeout=10)
    tokens: list[tuple[Any, bytes]] = [
        ("text", b"text"),
        (b"bytes", b"bytes"),
        ("ü", "ü".encode()),
        (5, b"5"),
        (1.5, b"1.5"),
    ]
    for token, stored in tokens:
        assert lock.acquire(token=token)
        assert client.get(name) == lock.local.token == stored
        lock.release()
    assert lock.acquire()
    assert client.get(name) == lock.local.token
    assert len(lock.local.token) == 32
    lock.release()
    assert lock.local.token is None


def test_a_token_that_is_no_text_is_an_error(client: redis.Redis, kind: Any, name: str) -> None:
    with pytest.raises(DataError, match="bool"):
        kind(client, name, timeout=10).acquire(token=True)
    lock = kind(client, 7, timeout=10)
    with pytest.raises(LockError) as error:
        lock.release()
    assert error.value.lock_name == 7  # type: ignore[comparison-overlap]


def test_a_client_that_decodes_replies_has_the_same_locks(
    server: Server, kind: Any, name: str
) -> None:
    with redis.Redis(port=server.port, decode_responses=True) as client:
        lock = kind(client, name, timeout=10)
        assert lock.acquire() and lock.owned()
        assert isinstance(lock.local.token, bytes)
        lock.extend(10)
        lock.release()
        assert not lock.owned()


def test_a_name_may_be_bytes(client: redis.Redis, kind: Any, name: str) -> None:
    with kind(client, name.encode(), timeout=10):
        assert client.exists(name)


def test_the_timeout_is_the_time_of_the_key(client: redis.Redis, kind: Any, name: str) -> None:
    with kind(client, name, timeout=20):
        assert 10_000 < client.pttl(name) <= 20_000
    with kind(client, name, timeout=0.5):
        assert 0 < client.pttl(name) <= 500


def test_a_lock_with_a_timeout_ends_and_is_not_owned_any_more(
    client: redis.Redis, kind: Any, name: str
) -> None:
    lock = kind(client, name, timeout=0.2)
    assert lock.acquire()
    until(lambda: not client.exists(name))
    assert not lock.owned()
    for verb, call in [("extend", lambda: lock.extend(1)), ("reacquire", lock.reacquire)]:
        with pytest.raises(LockNotOwnedError) as error:
            call()
        assert str(error.value) == f"Cannot {verb} a lock that's no longer owned"
        assert error.value.lock_name == name
    with pytest.raises(LockNotOwnedError) as error:
        lock.release()
    assert str(error.value) == "Cannot release a lock that's no longer owned"
    with pytest.raises(LockError) as again:
        lock.release()
    assert not isinstance(again.value, LockNotOwnedError)


def test_a_lock_with_a_timeout_is_not_renewed(client: redis.Redis, kind: Any, name: str) -> None:
    assert kind(client, name, timeout=0.3).acquire()
    end = client.pexpiretime(name)
    # -2: there is no key.
    assert until(lambda: (now := client.pexpiretime(name)) != end and now) == -2


def test_the_lock_of_a_successor_is_left_alone(client: redis.Redis, kind: Any, name: str) -> None:
    late = kind(client, name, timeout=0.2)
    assert late.acquire()
    until(lambda: not client.exists(name))
    next_one = kind(client, name, timeout=30)
    assert next_one.acquire()
    with pytest.raises(LockNotOwnedError):
        late.release()
    assert next_one.owned()
    next_one.release()


def test_verbs_of_an_unlocked_lock_are_errors(client: redis.Redis, kind: Any, name: str) -> None:
    lock = kind(client, name, timeout=10)
    for call, message in [
        (lock.release, "Cannot release a lock that's not owned or is already unlocked."),
        (lambda: lock.extend(1), "Cannot extend an unlocked lock"),
        (lock.reacquire, "Cannot reacquire an unlocked lock"),
    ]:
        with pytest.raises(LockError) as error:
            call()
        assert str(error.value) == message
        assert error.value.lock_name == name


def test_a_lock_without_a_timeout_gets_no_more_time(
    client: redis.Redis, kind: Any, name: str
) -> None:
    lock = kind(client, name)
    with lock:
        for call, verb in [(lambda: lock.extend(1), "extend"), (lock.reacquire, "reacquire")]:
            with pytest.raises(LockError, match=f"Cannot {verb} a lock with no timeout"):
                call()
    assert not client.exists(name)


def test_extend_adds_to_the_time_that_is_left(client: redis.Redis, kind: Any, name: str) -> None:
    lock = kind(client, name, timeout=20)
    with lock:
        assert lock.extend(100) is True
        assert 100_000 < client.pttl(name) <= 120_000
        assert lock.extend(additional_time=0.5)
        assert 100_000 < client.pttl(name) <= 120_500


def test_extend_replaces_the_time_that_is_left(client: redis.Redis, kind: Any, name: str) -> None:
    lock = kind(client, name, timeout=100)
    with lock:
        assert lock.extend(200, replace_ttl=True) is True
        assert 150_000 < client.pttl(name) <= 200_000
        assert lock.extend(50, replace_ttl=True) is True
        assert 20_000 < client.pttl(name) <= 50_000
        assert lock.extend(-20)
        assert 0 < client.pttl(name) <= 30_000
        assert lock.extend(100)
        assert 100_000 < client.pttl(name) <= 130_000


def test_reacquire_sets_the_timeout_again(client: redis.Redis, kind: Any, name: str) -> None:
    lock = kind(client, name, timeout=100)
    with lock:
        client.pexpire(name, 10_000)
        assert lock.reacquire() is True
        assert 50_000 < client.pttl(name) <= 100_000
        lock.extend(1000)
        assert lock.reacquire() is True
        assert 50_000 < client.pttl(name) <= 100_000


def test_waiting_ends_with_the_blocking_timeout(
    client: redis.Redis, kind: Any, name: str
) -> None:
    with kind(client, name, timeout=60):
        for limit in (0.15, 0, -1):
            began = time.monotonic()
            other = kind(client, name, sleep=0.01, blocking_timeout=limit)
            assert other.acquire() is False
            assert time.monotonic() - began >= limit - 0.05
            assert kind(client, name, sleep=0.01).acquire(blocking_timeout=limit) is False
        assert kind(client, name, blocking=False).acquire() is False
        other = kind(client, name, blocking=False)
        assert other.acquire(blocking=True, blocking_timeout=0) is False


def test_a_with_that_gets_no_lock_is_an_error(client: redis.Redis, kind: Any, name: str) -> None:
    with kind(client, name, timeout=60):
        with pytest.raises(LockError) as error:
            with kind(client, name, blocking_timeout=0.05, sleep=0.01):
                raise AssertionError("there are two holders")
        assert str(error.value) == "Unable to acquire lock within the time specified"


def test_a_timeout_that_cannot_be_is_an_error(client: redis.Redis, kind: Any, name: str) -> None:
    for timeout in (-1, 0.0005):
        with pytest.raises(ResponseError, match="invalid expire time in 'set' command"):
            kind(client, name, timeout=timeout).acquire()


def test_a_timeout_of_zero_is_none(client: redis.Redis, kind: Any, name: str) -> None:
    with kind(client, name, timeout=0) as lock:
        assert lock.owned()
        with pytest.raises(LockError):
            lock.extend(1)


def test_a_lost_lock_is_raised_at_the_end_of_its_with(
    client: redis.Redis, kind: Any, name: str
) -> None:
    with pytest.raises(LockNotOwnedError):
        with kind(client, name, timeout=30):
            client.delete(name)


@pytest.mark.parametrize("word", ["raise_on_release_error", "raise_on_exit_timeout"])
def test_a_lost_lock_is_logged_where_the_program_wants_it(
    client: redis.Redis, name: str, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    with caplog.at_level(logging.WARNING), Lock(client, name, timeout=30, **{word: False}):
        client.delete(name)
    assert caplog.messages == [
        "Lock was unlocked or no longer owned when exiting context manager."
    ]


def test_a_token_is_that_of_its_thread(client: redis.Redis, kind: Any, name: str) -> None:
    seen: list[Any] = []

    def elsewhere(lock: Any) -> None:
        try:
            lock.release()
            seen.append("released")
        except (LockError, AttributeError) as error:
            seen.append(type(error))

    for thread_local in (True, False):
        lock = kind(client, name, timeout=30, thread_local=thread_local)
        assert lock.acquire()
        thread = threading.Thread(target=elsewhere, args=(lock,))
        thread.start()
        thread.join(PATIENCE)
        if thread_local:
            lock.release()
    assert seen[0] in (LockError, AttributeError)
    assert seen[1] == "released"


def test_a_token_serves_in_another_lock(client: redis.Redis, kind: Any, name: str) -> None:
    first = kind(client, name, timeout=30)
    assert first.acquire()
    second = kind(client, name, timeout=60)
    second.local.token = first.local.token
    assert second.owned()
    assert second.reacquire()
    assert 30_000 < client.pttl(name) <= 60_000
    second.release()
    with pytest.raises(LockNotOwnedError):
        first.release()


@pytest.mark.parametrize("holder", CLASSES)
def test_a_token_that_holds_the_lock_is_waited_for(
    client: redis.Redis, kind: Any, holder: Any, name: str
) -> None:
    held = holder(client, name, timeout=60)
    assert held.acquire(token="me")
    same = kind(client, name, timeout=60, sleep=0.01)
    assert same.acquire(token="me", blocking=False) is False
    began = time.monotonic()
    assert same.acquire(token="me", blocking_timeout=0.2) is False
    assert time.monotonic() - began >= 0.15
    got: list[bool] = []
    thread = threading.Thread(
        target=lambda: got.append(same.acquire(token="me", blocking_timeout=PATIENCE))
    )
    thread.start()
    thread.join(0.1)
    assert thread.is_alive(), "there are two holders"
    held.release()
    thread.join(PATIENCE)
    assert got == [True]
    assert client.get(name) == b"me"
    same.local.token = "me"
    same.release()


def test_a_token_that_holds_the_lock_is_waited_for_without_a_limit(
    client: redis.Redis, kind: Any, name: str
) -> None:
    assert kind(client, name, timeout=0.3).acquire(token="me")
    assert kind(client, name, timeout=60, sleep=0.01).acquire(token="me") is True
    assert client.pttl(name) > 1_000


def test_a_lock_with_a_timeout_outlives_its_object(
    client: redis.Redis, kind: Any, name: str
) -> None:
    assert kind(client, name, timeout=60).acquire(blocking=False)
    assert kind(client, name, timeout=60).acquire(blocking=False) is False
    assert client.exists(name)


def test_tokens_that_tenure_has_not_are_refused(client: redis.Redis, name: str) -> None:
    for token, why in [(b"\xff", "UTF-8"), ("", "empty"), ("x" * 257, "257"), ("a\n", "U\\+000A")]:
        with pytest.raises(ValueError, match=why):
            Lock(client, name, timeout=10).acquire(token=token)
    assert not client.exists(name)


def test_a_value_that_is_no_text_is_anothers(client: redis.Redis, kind: Any, name: str) -> None:
    client.set(name, b"\xff\x00", px=60_000)
    lock = kind(client, name, timeout=10)
    lock.local.token = b"text"
    assert lock.locked() and not lock.owned()
    assert lock.acquire(blocking=False) is False
    with pytest.raises(LockNotOwnedError):
        lock.release()
    assert client.get(name) == b"\xff\x00"


def test_a_lock_without_a_timeout_is_renewed(
    client: redis.Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lock(client, name):
        assert 10_000 < client.pttl(name) <= 30_000
    monkeypatch.setattr(_stores, "_LEASE", 3.0)
    with Lock(client, name):
        assert client.pttl(name) <= 3_000
        first = client.pexpiretime(name)
        until(lambda: client.pexpiretime(name) > first)
    assert not client.exists(name)


@pytest.mark.parametrize("holder", CLASSES)
@pytest.mark.parametrize("waiter", CLASSES)
def test_both_kinds_of_locks_exclude_each_other(
    client: redis.Redis, name: str, holder: Any, waiter: Any
) -> None:
    held = holder(client, name, timeout=60)
    assert held.acquire()
    wanting = waiter(client, name, timeout=60, sleep=0.01)
    assert wanting.acquire(blocking=False) is False
    assert wanting.locked() and not wanting.owned()
    got = threading.Event()

    def wait() -> None:
        assert wanting.acquire(blocking_timeout=PATIENCE)
        got.set()
        wanting.release()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.wait(0.05)
    held.release()
    assert got.wait(PATIENCE)
    thread.join(PATIENCE)
    assert not client.exists(name)


def test_a_lock_of_redis_py_without_a_timeout_is_waited_for(
    client: redis.Redis, name: str
) -> None:
    held = redis.lock.Lock(client, name)
    assert held.acquire()
    wanting = Lock(client, name, timeout=60, sleep=0.005)
    assert wanting.locked()
    assert wanting.acquire(blocking=False) is False
    assert wanting.acquire(blocking_timeout=0.05) is False
    got = threading.Event()

    def wait() -> None:
        assert wanting.acquire(blocking_timeout=PATIENCE)
        got.set()
        wanting.release()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not got.wait(0.05)
    held.release()
    assert got.wait(PATIENCE)
    thread.join(PATIENCE)


@pytest.mark.parametrize("other", CLASSES)
def test_the_other_kind_serves_with_the_token(
    client: redis.Redis, name: str, kind: Any, other: Any
) -> None:
    first = kind(client, name, timeout=30)
    assert first.acquire()
    second = other(client, name, timeout=90)
    second.local.token = first.local.token
    assert second.owned()
    assert second.extend(60, replace_ttl=True)
    assert 30_000 < client.pttl(name) <= 60_000
    assert first.owned()
    second.release()
    assert not first.locked()
    with pytest.raises(LockNotOwnedError):
        first.release()


def test_a_counter_that_two_kinds_of_programs_guard_is_exact(
    client: redis.Redis, name: str
) -> None:
    counter, rounds = f"{name}:counter", 15
    failures: list[BaseException] = []

    def work(kind: Any) -> None:
        try:
            for _ in range(rounds):
                with kind(client, name, timeout=30, sleep=0.005):
                    seen = int(client.get(counter) or 0)
                    time.sleep(0.001)
                    client.set(counter, seen + 1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in CLASSES * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not failures
    assert int(client.get(counter)) == rounds * len(threads)


def test_a_server_that_is_away_is_the_error_of_redis_py() -> None:
    client = redis.Redis(port=1, socket_timeout=0.2, socket_connect_timeout=0.2)
    with pytest.raises(redis.exceptions.ConnectionError):
        Lock(client, "key", timeout=10).acquire()


def test_a_server_that_hangs_is_an_error_after_the_socket_timeout(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tenure's own limit shall not be what ends it.
    monkeypatch.setattr(_stores, "_STORE_TIMEOUT", 10 * PATIENCE)
    with single("redis", tmp_path) as server:
        client = redis.Redis(port=server.port, socket_timeout=1.5)
        held = Lock(client, name, timeout=60)
        assert held.acquire()
        server.process.send_signal(signal.SIGSTOP)
        for call in (
            lambda: held.extend(60),
            lambda: Lock(client, f"{name}:2", timeout=60).acquire(),
            lambda: Lock(client, f"{name}:2").acquire(blocking=False),
            held.release,
        ):
            began = time.monotonic()
            with pytest.raises(redis.exceptions.ConnectionError):
                call()
            assert time.monotonic() - began < PATIENCE, "it waits for Tenure's own limit"


def test_a_key_of_another_type_is_an_error(client: redis.Redis, name: str) -> None:
    client.rpush(name, "entry")
    lock = Lock(client, name, timeout=10)
    with pytest.raises(ResponseError):
        lock.acquire(blocking=False)
    assert client.lrange(name, 0, -1) == [b"entry"]
