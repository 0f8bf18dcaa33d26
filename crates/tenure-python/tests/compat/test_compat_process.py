"""What the end of a process and a fork leave behind, as seen by the server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import redis.lock
from places import PATIENCE, Server, until

from tenure.compat import _stores
from tenure.compat.redis import Lock

PACKAGE = Path(__file__).resolve().parents[2] / "python"
HEAD = "import redis, sys\nfrom tenure.compat.redis import Lock\n"


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a program with this interpreter."""
    environment = dict(os.environ)
    if PACKAGE.joinpath("tenure", "_tenure.abi3.so").exists():
        environment["PYTHONPATH"] = str(PACKAGE)
    return subprocess.run(
        [sys.executable, "-c", HEAD + program, *map(str, arguments)],
        env=environment,
        timeout=2 * PATIENCE,
        capture_output=True,
        text=True,
    )


def test_a_lock_with_a_timeout_outlives_the_process(
    server: Server, client: redis.Redis, name: str
) -> None:
    program = (
        "client = redis.Redis(port=int(sys.argv[1]))\n"
        "assert Lock(client, sys.argv[2], timeout=600).acquire(token='kept')\n"
        "assert Lock(client, sys.argv[2] + ':2', timeout=600).acquire()\n"
    )
    done = run(program, server.port, name)
    assert done.returncode == 0, done.stderr
    assert client.get(name) == b"kept"
    assert 300_000 < client.pttl(name) <= 600_000
    assert client.exists(f"{name}:2")
    # Another process releases it by its token.
    lock = Lock(client, name, timeout=600)
    lock.local.token = "kept"
    assert lock.owned()
    lock.release()
    assert not client.exists(name)


def test_a_release_after_the_end_of_the_connection_finds_its_lock(
    server: Server, client: redis.Redis, name: str
) -> None:
    program = (
        "client = redis.Redis(port=int(sys.argv[1]))\n"
        "lock = Lock(client, sys.argv[2], timeout=600)\n"
        "from tenure.compat import _stores\n"
        "assert lock.acquire()\n"
        "_stores._close_all()\n"
        "lock.extend(60)\n"
        "lock.release()\n"
        "print('released')\n"
    )
    done = run(program, server.port, name)
    assert (done.returncode, done.stdout) == (0, "released\n"), done.stderr
    assert not client.exists(name)


def test_a_lock_without_a_timeout_ends_with_the_process(
    server: Server, client: redis.Redis, name: str
) -> None:
    program = (
        "client = redis.Redis(port=int(sys.argv[1]))\n"
        "assert Lock(client, sys.argv[2]).acquire()\n"
        "assert client.exists(sys.argv[2])\n"
    )
    done = run(program, server.port, name)
    assert done.returncode == 0, done.stderr
    assert not client.exists(name)


def test_a_process_ends_at_once_though_its_server_is_away(tmp_path: Path) -> None:
    program = (
        "client = redis.Redis(port=1, socket_timeout=0.1, socket_connect_timeout=0.1)\n"
        "lock = Lock(client, 'key', timeout=1)\n"
        "try:\n    lock.acquire()\nexcept redis.exceptions.ConnectionError:\n    print('away')\n"
    )
    done = run(program)
    assert (done.returncode, done.stdout) == (0, "away\n"), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_a_connection_of_its_own_and_the_parents_token(
    server: Server, client: redis.Redis, name: str
) -> None:
    program = (
        "import os\n"
        "client = redis.Redis(port=int(sys.argv[1]))\n"
        "lock = Lock(client, sys.argv[2], timeout=600)\n"
        "assert lock.acquire()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    other = Lock(client, sys.argv[2], timeout=600)\n"
        "    assert not other.acquire(blocking=False)\n"
        "    assert lock.owned()\n"
        "    lock.extend(600)\n"
        "    lock.release()\n"
        "    assert other.acquire(blocking=False)\n"
        "    os._exit(7)\n"
        "_, status = os.waitpid(child, 0)\n"
        "assert os.waitstatus_to_exitcode(status) == 7\n"
        "try:\n    lock.release()\n"
        "except redis.exceptions.LockNotOwnedError:\n    print('not owned')\n"
    )
    done = run(program, server.port, name)
    assert (done.returncode, done.stdout) == (0, "not owned\n"), done.stderr
    assert client.exists(name)


def test_many_locks_that_are_never_released_are_forgotten(
    client: redis.Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stores, "_MANY", 8)
    held = Lock(client, name)._claim().store.held
    before, count = len(held), 0

    def is_forgotten() -> bool:
        nonlocal count
        count += 1
        assert Lock(client, f"{name}:{count}", timeout=0.2).acquire()
        return len(held) - before < count

    until(is_forgotten)


def test_a_lock_that_another_process_has_extended_is_not_given_back(
    client: redis.Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stores, "_MANY", 0)
    handed_on = Lock(client, name, timeout=3)
    assert handed_on.acquire()
    # As a worker that was given the token.
    worker = redis.lock.Lock(client, name, timeout=600)
    worker.local.token = handed_on.local.token
    assert worker.reacquire()
    store = handed_on._claim().store
    # No name for the guard, which would keep it.
    until(lambda: not store.held[name, handed_on.local.token.decode()][0].held)
    forgotten = Lock(client, f"{name}:over", timeout=0.2)
    assert forgotten.acquire()
    key = (f"{name}:over", forgotten.local.token.decode())

    def is_forgotten() -> bool:
        Lock(client, f"{name}:next", timeout=0.2, blocking=False).acquire()
        return key not in store.held

    until(is_forgotten)
    assert worker.owned()
    assert 60_000 < client.pttl(name)
    worker.release()
