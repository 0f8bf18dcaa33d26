"""A request handler takes a lock, answers at once, and leaves the work to a worker in another
process, which goes on under the same lock: nobody comes in between.

    python hand_over.py

It prints:

    handler: took order:7
    handler: accepted, a worker has it
    worker: works on order:7 under the handler's fence
    handler: nobody came in between
    worker: done
"""

from __future__ import annotations

import json
import subprocess
import sys

import tenure


def handler() -> None:
    guard = tenure.mutex("order:7").acquire()
    print(f"handler: took {guard.key}")
    fence = guard.fence

    # The lock is kept for a minute. Until then everybody who has the ticket can adopt it.
    ticket = guard.hand_over(keep=60)
    print("handler: accepted, a worker has it", flush=True)

    # Pipes stand for the queue of jobs and for what the worker reports.
    worker = subprocess.Popen(
        [sys.executable, __file__, "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin is not None and worker.stdout is not None
    print(json.dumps({"ticket": ticket, "fence": fence}), file=worker.stdin, flush=True)

    # While it works, nobody else gets the lock.
    print(worker.stdout.readline(), end="")
    if tenure.mutex("order:7").try_acquire() is None:
        print("handler: nobody came in between")
    print("go on", file=worker.stdin, flush=True)
    print(worker.stdout.readline(), end="")
    if worker.wait() != 0:
        sys.exit("the worker failed")


def worker() -> None:
    job = json.loads(input())
    # Once: a second worker with the same ticket is refused. The lease is renewed from here on.
    guard = tenure.default_locks().adopt(job["ticket"])
    whose = "the handler's" if guard.fence == job["fence"] else "another"
    print(f"worker: works on {guard.key} under {whose} fence", flush=True)
    input()
    guard.release()
    print("worker: done")


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        worker()
    else:
        handler()
