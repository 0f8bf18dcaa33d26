"""Four workers go through the same list of jobs. A job that another worker is at is skipped, and no
job is done twice.

    python workers.py

It prints:

    12 jobs were done, none of them twice
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import tenure

JOBS = [f"job:{number}" for number in range(12)]
done: list[str] = []  # stands for a column of a table


def work(_worker: int) -> None:
    while open_jobs := [job for job in JOBS if job not in done]:
        for job in open_jobs:
            guard = tenure.mutex(job).try_acquire()
            if guard is None:
                continue  # another worker is at it
            try:
                # It may have been done between the look at the list and the grant.
                if job not in done:
                    time.sleep(0.01)
                    guard.check()
                    done.append(job)
            finally:
                guard.release()


def main() -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    twice = len(done) - len(set(done))
    print(f"{len(set(done))} jobs were done, {twice or 'none'} of them twice")


if __name__ == "__main__":
    main()
