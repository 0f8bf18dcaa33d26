"""Adapter for redis-py's own Lock and for python-redis-lock, with their defaults.

    adapter.py redis-py|python-redis-lock

It speaks the line protocol that bench/README.md describes. Tasks are threads, each with a lock
object of its own; the client and its pool of connections are shared, as their documentation says.
"""

import json
import platform
import sys
import threading
import time
from importlib.metadata import version

import redis
import redis_lock

TTL_S = 30
HOLD_S = 0.003


def now_us():
    """One clock for all processes of this machine."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Contender:
    def __init__(self, library, address, key):
        host, port = address.rsplit(":", 1)
        self.library, self.key = library, key
        self.client = redis.Redis(host=host, port=int(port))
        self.lone = self.lock(key + "-lone")

    def lock(self, key):
        if self.library == "redis-py":
            return self.client.lock(key, timeout=TTL_S)
        return redis_lock.Lock(self.client, key, expire=TTL_S)

    def lone_cycles(self, count):
        spans = []
        for _ in range(count):
            begun = time.perf_counter_ns()
            self.lone.acquire()
            self.lone.release()
            spans.append((time.perf_counter_ns() - begun) / 1000)
        return spans

    def tasks(self, tasks, millis):
        locks = [self.lock(f"{self.key}-{task}") for task in range(tasks)]
        begun = time.perf_counter()

        def cycles(task):
            count = 0
            while time.perf_counter() - begun < millis / 1000:
                locks[task].acquire()
                locks[task].release()
                count += 1
            return count

        done = sum(in_threads(tasks, cycles))
        return {"cycles": done, "elapsed_us": (time.perf_counter() - begun) * 1e6}

    def waiters(self, tasks, millis):
        began = now_us()
        ended = began + millis * 1000

        def turns(task):
            lock, found = self.lock(self.key), []
            while (asked := now_us()) < ended:
                lock.acquire()
                granted = now_us()
                if granted < ended:
                    time.sleep(HOLD_S)
                released = now_us()
                lock.release()
                times = {"asked_us": asked, "granted_us": granted, "released_us": released}
                found.append({"task": task, **times})
            return found

        found = sum(in_threads(tasks, turns), [])
        return {"began_us": began, "ended_us": ended, "turns": found}


def in_threads(count, work):
    """The results of `work` for each number. The first failure of a thread is raised."""
    results, failures = [None] * count, []

    def run(number):
        try:
            results[number] = work(number)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def versions(library):
    names = {"redis-py": ["redis"], "python-redis-lock": ["python-redis-lock", "redis"]}[library]
    called = {"redis": "redis-py"}
    said = [f"{called.get(name, name)} {version(name)}" for name in names]
    return ", ".join([*said, f"Python {platform.python_version()}"])


def answer(library, contender, words):
    """The contender from now on, and the reply."""
    match words:
        case ["start", address, key, _workload]:
            return Contender(library, address, key), {"version": versions(library)}
        case ["warm", cycles]:
            contender.lone_cycles(int(cycles))
            return contender, {"warmed": int(cycles)}
        case ["run", "lone", cycles]:
            return contender, {"cycle_us": contender.lone_cycles(int(cycles))}
        case ["run", "tasks", tasks, millis]:
            return contender, contender.tasks(int(tasks), int(millis))
        case ["run", "waiters", tasks, millis]:
            return contender, contender.waiters(int(tasks), int(millis))
    raise ValueError(f"this is no request: {words}")


def main():
    library, contender = sys.argv[1], None
    for line in sys.stdin:
        try:
            contender, reply = answer(library, contender, line.split())
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


main()
