"""The other library on the key. It reads one command a line and answers each with one line."""
import sys
import time

import redis

client = redis.Redis(port=int(sys.argv[1]))
locks = {}

for line in sys.stdin:
    word, *args = line.split()
    try:
        if word == "acquire":
            name, timeout = args
            lock = client.lock(name, timeout=float(timeout), blocking=False)
            answer = lock.acquire()
            if answer:
                locks[name] = lock
        elif word == "wait":
            name, timeout, patience = args
            lock = client.lock(name, timeout=float(timeout), sleep=0.01)
            answer = lock.acquire(blocking_timeout=float(patience))
            if answer:
                locks[name] = lock
        elif word == "release":
            locks.pop(args[0]).release()
            answer = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        elif word == "take-over":
            name, value = args
            locks[name] = client.lock(name, timeout=30)
            locks[name].local.token = value.encode()
            answer = locks[name].owned()
        elif word == "extend":
            name, seconds = args
            answer = locks[name].extend(float(seconds), replace_ttl=True)
        elif word == "locked":
            answer = client.lock(args[0]).locked()
        else:
            answer = "unknown"
    except Exception as error:
        answer = type(error).__name__
    print(answer, flush=True)
