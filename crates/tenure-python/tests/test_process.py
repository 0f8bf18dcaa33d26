"""Signals, forks, threads that keep the interpreter, and the end of the program."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tenure
import tenure.aio
from ways import PATIENCE


def program(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", text, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


INTERRUPTED = """
import os, signal, sys, threading, time
import tenure

locks = tenure.connect(sys.argv[1])
mutex = locks.mutex("k")
held = mutex.acquire()
sent = []

def interrupt():
    while not mutex.inspect().waiters and sys.argv[2] == "queue":
        time.sleep(0.01)
    time.sleep(0.2)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

thread = threading.Thread(target=interrupt)
thread.start()
try:
    locks.mutex("k", wait=None).acquire()
except KeyboardInterrupt:
    print("interrupted after", time.monotonic() - sent[0])
thread.join()
while mutex.inspect().waiters:
    time.sleep(0.01)
held.release()
print("held:", mutex.held_by_anyone())
"""


def test_ctrl_c_ends_a_wait_without_limit_and_leaves_nothing(url: str) -> None:
    ended = program(INTERRUPTED, url, "poll" if url.startswith("quorum") else "queue")
    assert "held: False" in ended.stdout, ended
    took = float(ended.stdout.split("interrupted after ")[1].split()[0])
    # 0.1 s where nobody else needs the machine; without the interrupt it would wait for ever.
    assert took < 30, ended


@pytest.mark.stores("memory", "redis")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_no_locks_of_its_parent_and_gets_its_own(url: str, key: str) -> None:
    locks = tenure.connect(url)
    held = locks.mutex(key).acquire()
    asyncio.run(scope(tenure.aio.Locks(locks._native), f"{key}:loop"))
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(theirs, forked(url, key, locks, held).encode())
        except BaseException as error:
            os.write(theirs, repr(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(ours, 1000).decode() == "lost forked own own-loop"
    held.check()
    assert held.release() == "released"


async def scope(locks: tenure.aio.Locks, key: str) -> None:
    async with locks.mutex(key):
        pass


def forked(url: str, key: str, locks: tenure.Locks, held: tenure.Guard) -> str:
    """The child's findings."""
    seen = []
    try:
        held.check()
    except tenure.LockLost:
        seen.append("lost")
    try:
        locks.mutex(key).try_acquire()
    except tenure.Forked:
        seen.append("forked")
    with tenure.connect(url).mutex(f"{key}:child"):
        seen.append("own")
    asyncio.run(scope(tenure.aio.connect(url), f"{key}:child-loop"))
    seen.append("own-loop")
    return " ".join(seen)


def add_one(url: str, path: str, times: int) -> None:
    """Counts in a file, which loses counts if two do so at a time."""
    counter = Path(path)
    mutex = tenure.connect(url).mutex("counter")
    for _ in range(times):
        with mutex:
            counter.write_text(str(int(counter.read_text()) + 1))


@pytest.mark.stores("redis", "valkey")
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_processes_of_a_pool_exclude_each_other(url: str, tmp_path: Path, method: str) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    # The parent has a connection, as a server has that loads the program before it forks.
    assert tenure.connect(url).mutex("counter").try_acquire() is not None
    context = multiprocessing.get_context(method)
    workers = [
        context.Process(target=add_one, args=(url, str(counter), 25)) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
        assert worker.exitcode == 0
    assert counter.read_text() == "100"


@pytest.mark.stores("sqlite", "redis", "valkey")
def test_a_c_extension_that_keeps_the_interpreter_loses_no_lease(url: str, key: str) -> None:
    held = tenure.connect(url).mutex(key, ttl=3).acquire()
    ctypes.PyDLL(None).usleep(4_000_000)  # without giving the interpreter free
    held.check()
    assert tenure.connect(url).mutex(key).try_acquire() is None
    assert held.release() == "released"


@pytest.mark.stores("sqlite", "redis", "valkey")
async def test_a_blocked_loop_loses_no_lease(url: str, key: str) -> None:
    async with tenure.aio.connect(url).mutex(key, ttl=3) as lock:
        time.sleep(4)  # longer than the ttl, in the way of the loop
        lock.check()
        await asyncio.sleep(0)


AT_THE_END = """
import sys, threading
import tenure

locks = tenure.connect(sys.argv[1])
tenure.log_events(10)
held = locks.mutex("k").acquire()
waits = threading.Thread(target=locks.mutex("k").acquire, daemon=True)
waits.start()
while not locks.mutex("k").inspect().waiters:
    pass
forgotten = locks.mutex("other").acquire()
print("at the end")
"""


@pytest.mark.stores("memory", "sqlite", "redis")
def test_a_program_ends_with_a_held_lock_and_a_waiting_thread(url: str) -> None:
    ended = program(AT_THE_END, url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "at the end\n", "")
