"""Servers that load the program before they fork: gunicorn with `--preload`, Celery's prefork."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import tenure
from ways import PATIENCE

SOURCES = str(Path(tenure.__file__).parents[1])

WEB = """
import os
import tenure

inherited = tenure.connect(os.environ["TENURE_STORE"])
with inherited.mutex("master"):
    pass

def app(environ, start_response):
    try:
        inherited.mutex("k").try_acquire()
        answer = "inherited"
    except tenure.Forked:
        with tenure.mutex("k") as lock:
            answer = f"forked, own {lock.held}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]
"""

TASKS = """
import os
import celery
import tenure

inherited = tenure.connect(os.environ["TENURE_STORE"])
server = os.environ["TENURE_STORE"].partition("?")[0]
app = celery.Celery("tasks", broker=server, backend=server)

@app.task
def locked():
    try:
        inherited.mutex("k").try_acquire()
        return "inherited"
    except tenure.Forked:
        with tenure.mutex("k") as lock:
            return f"forked, own {lock.held}"
"""


def environment(url: str) -> dict[str, str]:
    return {**os.environ, "TENURE_STORE": url, "PYTHONPATH": SOURCES}


@pytest.mark.stores("redis")
@pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed")
def test_workers_of_gunicorn_connect_by_themselves(url: str, tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(WEB)
    at = tmp_path / "socket"
    words = ["-m", "gunicorn", "--preload", "--workers=2", f"--bind=unix:{at}", "web:app"]
    server = subprocess.Popen(
        [sys.executable, *words],
        cwd=tmp_path,
        env=environment(url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        limit = time.monotonic() + PATIENCE
        while not at.exists():
            assert server.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        for _ in range(6):
            with socket.socket(socket.AF_UNIX) as wire:
                wire.settimeout(PATIENCE)
                wire.connect(str(at))
                wire.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = b""
                while part := wire.recv(4096):
                    answer += part
            assert answer.endswith(b"forked, own True")
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE)


@pytest.mark.stores("redis")
@pytest.mark.skipif(find_spec("celery") is None, reason="celery is not installed")
def test_workers_of_celerys_prefork_connect_by_themselves(url: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    words = ["-m", "celery", "-A", "tasks", "worker", "--pool=prefork", "--concurrency=2"]
    worker = subprocess.Popen(
        [sys.executable, *words, "--without-gossip", "--without-mingle"],
        cwd=tmp_path,
        env=environment(url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ask = "import tasks\nprint(*[tasks.locked.delay().get(timeout=60) for _ in range(4)], sep='|')"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", ask],
            cwd=tmp_path,
            env=environment(url),
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=True,
        )
        assert asked.stdout == "|".join(["forked, own True"] * 4) + "\n"
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=PATIENCE)
