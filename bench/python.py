"""Measures the Python package tenure beside redis-py's Lock, on a server of its own.

    .cache/bench-python/bin/python bench/python.py --save

bench/README.md says how to make that interpreter, which has the packages tenure and redis.

Both take turns within one run, round by round, so that a change of the machine meets both. A figure
is printed with its target; the command ends with 1 if a target is missed. Measure on a quiet
machine.

--save        keeps the run in bench/python.json and in the package's README
--only NAME   measures only what has this in its name
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
import tenure
import tenure.aio

ROOT = Path(__file__).parents[1]
TTL_S = 30
ROUNDS = 8
CYCLES = 400
TASKS = 64
TASKS_S = 1.0
HANDOFFS = 40
IMPORTS = 10
WHEEL_MAX_MIB = 8
IMPORT_MAX_MS = 60
BEGIN = "<!-- bench/python.py writes from here ... -->\n"
END = "<!-- ... to here. -->\n"


@dataclass
class Figure:
    """A figure of both, or of tenure alone if ``other`` is ``None``. The target is a limit of their
    ratio, or of the figure itself if it is tenure's alone."""

    name: str
    unit: str
    tenure: float
    other: float | None
    target: float
    larger_is_better: bool = False

    @property
    def judged(self) -> float:
        return self.tenure if self.other is None else self.tenure / self.other

    @property
    def is_met(self) -> bool:
        judged = self.judged
        return judged >= self.target if self.larger_is_better else judged <= self.target

    def __str__(self) -> str:
        sign = ">=" if self.larger_is_better else "<="
        beside = "" if self.other is None else f" redis-py {self.other:>9.1f}"
        of = "" if self.other is None else f" ratio {self.judged:.3f},"
        verdict = "" if self.is_met else "  MISSED"
        text = f"{self.name:<24} tenure {self.tenure:>9.1f}{beside} {self.unit:<4}"
        return f"{text}{of} target {sign} {self.target}{verdict}"

    def as_json(self) -> dict[str, Any]:
        kept = {"name": self.name, "unit": self.unit, "tenure": round(self.tenure, 2)}
        if self.other is not None:
            kept |= {"redis_py": round(self.other, 2), "ratio": round(self.judged, 4)}
        return kept | {"target": self.target, "is_met": self.is_met}


@contextmanager
def server() -> Iterator[int]:
    """A Redis server; answers its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ours = ROOT / ".cache/servers/redis"
    program = ours / "bin/redis-server"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(ours / "lib")}
    with tempfile.TemporaryDirectory() as directory:
        settings = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
        process = subprocess.Popen(
            [str(program) if program.exists() else "redis-server", "--port", str(port), *settings],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            client = redis.Redis(port=port)
            limit = time.monotonic() + 30
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > limit:
                        raise
                    time.sleep(0.05)
            client.close()
            yield port
        finally:
            process.kill()
            process.wait()


def p50_us(spans: list[int]) -> float:
    return statistics.median(spans) / 1000


def blocking_cycle(port: int) -> Figure:
    """One thread: acquire and release of a free lock."""
    locks = tenure.connect(f"redis://127.0.0.1:{port}")
    client = redis.Redis(port=port)
    ours, theirs = locks.mutex("bench-ours"), client.lock("bench-theirs", timeout=TTL_S)

    def our_cycle() -> None:
        ours.acquire().release()

    def their_cycle() -> None:
        theirs.acquire()
        theirs.release()

    spans: dict[Callable[[], None], list[int]] = {our_cycle: [], their_cycle: []}
    for number in range(ROUNDS + 1):
        for cycle, found in spans.items():
            for _ in range(CYCLES):
                begun = time.perf_counter_ns()
                cycle()
                found.append(time.perf_counter_ns() - begun)
            if number == 0:
                found.clear()
    locks.close()
    client.close()
    return Figure("sync cycle", "us", p50_us(spans[our_cycle]), p50_us(spans[their_cycle]), 0.6)


async def asyncio_cycle(port: int) -> Figure:
    """One task: acquire and release of a free lock."""
    locks = tenure.aio.connect(f"redis://127.0.0.1:{port}")
    client = redis.asyncio.Redis(port=port)
    ours, theirs = locks.mutex("bench-ours"), client.lock("bench-theirs", timeout=TTL_S)

    async def our_cycle() -> None:
        await (await ours.acquire()).release()

    async def their_cycle() -> None:
        await theirs.acquire()
        await theirs.release()

    spans: dict[Any, list[int]] = {our_cycle: [], their_cycle: []}
    for number in range(ROUNDS + 1):
        for cycle, found in spans.items():
            for _ in range(CYCLES):
                begun = time.perf_counter_ns()
                await cycle()
                found.append(time.perf_counter_ns() - begun)
            if number == 0:
                found.clear()
    await locks.close()
    await client.aclose()
    return Figure("asyncio cycle", "us", p50_us(spans[our_cycle]), p50_us(spans[their_cycle]), 0.5)


async def asyncio_tasks(port: int) -> Figure:
    """64 tasks on 64 keys: cycles per second. redis-py has a connection for each task."""
    locks = tenure.aio.connect(f"redis://127.0.0.1:{port}")
    pool = redis.asyncio.ConnectionPool(port=port, max_connections=TASKS)
    client = redis.asyncio.Redis(connection_pool=pool)

    async def our_task(number: int, end: float) -> int:
        lock, cycles = locks.mutex(f"bench-ours-{number}"), 0
        while time.perf_counter() < end:
            await (await lock.acquire()).release()
            cycles += 1
        return cycles

    async def their_task(number: int, end: float) -> int:
        lock, cycles = client.lock(f"bench-theirs-{number}", timeout=TTL_S), 0
        while time.perf_counter() < end:
            await lock.acquire()
            await lock.release()
            cycles += 1
        return cycles

    rates: dict[Any, list[float]] = {our_task: [], their_task: []}
    for number in range(ROUNDS + 1):
        for task, found in rates.items():
            begun = time.perf_counter()
            end = begun + TASKS_S
            cycles = sum(await asyncio.gather(*[task(key, end) for key in range(TASKS)]))
            if number > 0:
                found.append(cycles / (time.perf_counter() - begun))
    await locks.close()
    await client.aclose()
    ours, theirs = (statistics.median(found) for found in rates.values())
    return Figure("asyncio 64 tasks", "/s", ours, theirs, 6, larger_is_better=True)


def handoff(port: int) -> Figure:
    """From a release in one process to the grant to a waiter in another."""
    locks = tenure.connect(f"redis://127.0.0.1:{port}")
    client = redis.Redis(port=port)
    waiter = subprocess.Popen(
        [sys.executable, __file__, "--waiter", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiter.stdin is not None and waiter.stdout is not None
    spans: dict[str, list[int]] = {"ours": [], "theirs": []}
    for number in range(HANDOFFS + 2):
        for whose, found in spans.items():
            lock: Any = client.lock("bench-theirs", timeout=TTL_S)
            if whose == "ours":
                lock = locks.mutex("bench-ours").acquire()
            else:
                lock.acquire()
            print(whose, file=waiter.stdin, flush=True)
            # It stands in line by then, and a poller is anywhere in its pause.
            time.sleep(random.uniform(0.05, 0.15))
            released = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            lock.release()
            granted = int(waiter.stdout.readline())
            if number >= 2:
                found.append(granted - released)
    waiter.stdin.close()
    waiter.wait()
    locks.close()
    client.close()
    return Figure("handoff", "us", p50_us(spans["ours"]), p50_us(spans["theirs"]), 0.1)


def wait_for_handoffs(port: int) -> None:
    """The other process of `handoff`."""
    locks = tenure.connect(f"redis://127.0.0.1:{port}")
    client = redis.Redis(port=port)
    for line in sys.stdin:
        lock: Any = client.lock("bench-theirs", timeout=TTL_S)
        if line.strip() == "ours":
            lock = locks.mutex("bench-ours").acquire()
        else:
            lock.acquire()
        granted = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        lock.release()
        print(granted, flush=True)
    locks.close()


def import_time(package: str) -> Figure:
    """The time that `import` takes in a fresh interpreter, beside that of redis."""
    spans: dict[str, list[float]] = {package: [], "redis": []}
    for _ in range(IMPORTS):
        for name, found in spans.items():
            code = f"import time; t = time.perf_counter(); import {name}"
            code += "; print(time.perf_counter() - t)"
            ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
            found.append(float(ran.stdout) * 1000)
    ours = statistics.median(spans[package])
    print(f"  import redis: {statistics.median(spans['redis']):.1f} ms")
    return Figure(f"import {package}", "ms", ours, None, IMPORT_MAX_MS)


def wheel_size() -> Figure | None:
    """The size of the wheel, if it lies in the directory of this interpreter's environment."""
    for wheel in Path(sys.prefix).glob("tenure-*.whl"):
        return Figure("wheel", "MiB", wheel.stat().st_size / 2**20, None, WHEEL_MAX_MIB)
    return None


def save(run: dict[str, Any]) -> None:
    """Keeps the run, and makes the table of the package's README of it."""
    (ROOT / "bench/python.json").write_text(json.dumps(run, indent=2) + "\n")
    readme = ROOT / "crates/tenure-python/README.md"
    before, rest = readme.read_text().split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(f"{before}{BEGIN}\n{table(run)}\n{END}{after}")


def table(run: dict[str, Any]) -> str:
    """The run as a table of Markdown."""
    cpu, versions = run["machine"], run["versions"]
    lines = [
        f"{cpu['cpu']} with {cpu['cores']} cores, CPython {versions['python']}, "
        f"redis-py {versions['redis_py']}, {versions['server']}, {run['date']}:",
        "",
        "| figure | unit | tenure | redis-py |",
        "|---|---|---:|---:|",
    ]
    for figure in run["figures"]:
        cells = [figure["tenure"], figure.get("redis_py")]
        shown = [written(cell) for cell in cells]
        lines.append(f"| {figure['name']} | {figure['unit']} | {shown[0]} | {shown[1]} |")
    return "\n".join(lines) + "\n"


def written(number: float | None) -> str:
    """A number with three digits or more."""
    if number is None:
        return ""
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"


def machine() -> dict[str, Any]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {"cpu": models[0] if models else "", "cores": os.cpu_count(), "os": platform.release()}


def versions(port: int) -> dict[str, str]:
    info: Any = redis.Redis(port=port).info("server")
    return {
        "python": platform.python_version(),
        "tenure": version("tenure"),
        "redis_py": version("redis"),
        "server": f"redis {info['redis_version']}",
    }


def commit() -> str:
    ran = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    return ran.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--waiter", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.waiter is not None:
        wait_for_handoffs(arguments.waiter)
        return 0
    with server() as port:
        workloads: dict[str, Callable[[], Figure | None]] = {
            "sync": lambda: blocking_cycle(port),
            "asyncio-one": lambda: asyncio.run(asyncio_cycle(port)),
            "asyncio-64": lambda: asyncio.run(asyncio_tasks(port)),
            "handoff": lambda: handoff(port),
            "import": lambda: import_time("tenure"),
            "import-aio": lambda: import_time("tenure.aio"),
            "wheel": wheel_size,
        }
        figures = []
        for name, measure in workloads.items():
            if arguments.only in name and (figure := measure()) is not None:
                print(figure, flush=True)
                figures.append(figure)
        if arguments.save:
            run = {
                "date": datetime.now(timezone.utc).date().isoformat(),
                "commit": commit(),
                "machine": machine(),
                "versions": versions(port),
                "figures": [figure.as_json() for figure in figures],
            }
            save(run)
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
