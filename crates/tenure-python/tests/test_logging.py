"""The library's events in Python's logging."""

from __future__ import annotations

from test_process import program

LOGGED = """
import logging, queue, sys
import tenure
from tenure import _tenure

records = queue.Queue()
log = logging.getLogger("tenure")
log.setLevel(1)
handler = logging.Handler()
handler.emit = lambda record: records.put((record.levelname, record.getMessage()))
log.addHandler(handler)
assert tenure.log_events(logging.DEBUG)
assert not tenure.log_events(logging.DEBUG), "once for a program"
world = _tenure.World(None)
locks = tenure.Locks(world.locks())
held = locks.mutex("report").acquire()
world.lose("report")
held.wait_lost()
while True:
    level, message = records.get(timeout=60)
    print(level, message)
    if level == "WARNING":
        break
"""


def test_a_loss_is_logged_with_its_key_and_reason() -> None:
    ended = program(LOGGED)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("DEBUG tenure.granted: lock granted key=report"), ended
    assert lines[-1].startswith("WARNING tenure.lost: lock lost key=report"), ended
    assert "the store no longer has it" in lines[-1]


BLOCKED = """
import logging, os, threading, time
import tenure

entered = threading.Event()
log = logging.getLogger("tenure")
log.setLevel(1)
handler = logging.Handler()

def block(_):
    entered.set()
    threading.Event().wait()

handler.emit = block
log.addHandler(handler)
tenure.log_events(logging.DEBUG)
locks = tenure.connect("memory:")
mutex = locks.mutex("k", ttl=3)
held = mutex.acquire()
entered.wait()
for _ in range(10_000):  # more events than wait for the logger
    locks.mutex("other").acquire().release()
while mutex.inspect().holders[0].since < 3.2:  # longer than the ttl
    held.check()
    time.sleep(0.01)
print(held.release(), flush=True)
os._exit(0)  # logging itself waits for its handlers at the end
"""


def test_a_logger_that_blocks_holds_up_nothing() -> None:
    ended = program(BLOCKED)
    assert (ended.returncode, ended.stdout) == (0, "released\n"), ended


RAISES = """
import logging, queue
import tenure

records = queue.Queue()
log = logging.getLogger("tenure")
log.setLevel(1)
handler = logging.Handler()

def fail(record):
    records.put(record.getMessage())
    raise RuntimeError("a handler of the program")

handler.emit = fail
log.addHandler(handler)
tenure.log_events("debug")
locks = tenure.connect("memory:")
for key in "ab":
    locks.mutex(key).acquire().release()
while "key=b" not in records.get(timeout=60):
    pass
print("both")
"""


def test_a_handler_that_raises_ends_no_later_event() -> None:
    ended = program(RAISES)
    assert ended.stdout == "both\n", ended


FORKED = """
import logging, os, queue, sys
import tenure

records = queue.Queue()
log = logging.getLogger("tenure")
log.setLevel(1)
handler = logging.Handler()
handler.emit = lambda record: records.put(record.getMessage())
log.addHandler(handler)
assert tenure.log_events("WARNING")
child = os.fork()
if child == 0:
    records = queue.Queue()
    assert tenure.log_events("DEBUG")
    tenure.connect("memory:").mutex("k").acquire().release()
    os._exit(0 if "key=k" in records.get(timeout=60) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_logs_its_own_events() -> None:
    assert program(FORKED).stdout == "0\n"
