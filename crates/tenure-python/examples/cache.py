"""A cache whose entry is missing. Twenty threads want it at once, and one computes it.

    python cache.py

It prints:

    20 threads were served, the price was computed once
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import tenure

cache: dict[str, int] = {}  # stands for a cache that hosts share
computed: list[str] = []


def price(item: str) -> int:
    if item in cache:
        return cache[item]
    # Those that wait here find the entry when they come in: look again under the lock.
    with tenure.mutex(f"fill:{item}", wait=30):
        if item not in cache:
            cache[item] = compute(item)
        return cache[item]


def compute(item: str) -> int:
    computed.append(item)
    time.sleep(0.1)
    return 12


def main() -> None:
    with ThreadPoolExecutor(20) as pool:
        prices = list(pool.map(price, ["lamp"] * 20))
    assert prices == [12] * 20
    times = "once" if len(computed) == 1 else f"{len(computed)} times"
    print(f"{len(prices)} threads were served, the price was computed {times}")


if __name__ == "__main__":
    main()
