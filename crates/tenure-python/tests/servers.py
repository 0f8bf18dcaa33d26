"""Real servers for tests: each on a free port, in a directory of its own, stopped at the end."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / ".cache" / "servers"
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _end_with_the_tests() -> None:
    """The kernel kills the server when the process of the tests has ended, however it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Server:
    """A Redis (``redis``) or Valkey (``valkey``) server."""

    def __init__(self, flavour: str, directory: Path) -> None:
        home = PROGRAMS / flavour
        program = home / "bin" / f"{flavour}-server"
        if not program.exists():
            subprocess.run([ROOT / "tools" / "servers"], check=True)
        self.flavour = flavour
        self.log = directory / f"{flavour}.log"
        environment = {**os.environ, "LD_LIBRARY_PATH": str(home / "lib")}
        for _ in range(10):
            # Another process may have taken the port meanwhile.
            self.port = _free_port()
            options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [program, "--port", str(self.port), "--dir", directory, *options],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_end_with_the_tests,
                )
            if self._answers():
                return
        raise AssertionError(f"{flavour} does not start: {self.log.read_text()}")

    def _answers(self) -> bool:
        until = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < until:
            try:
                if self.ask("PING") == b"+PONG\r\n":
                    return True
            except OSError:
                time.sleep(0.01)
        self.stop()
        return False

    def ask(self, line: str) -> bytes:
        """The answer to one inline command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as wire:
            wire.sendall(line.encode() + b"\r\n")
            return wire.recv(65536)

    @property
    def url(self) -> str:
        """Its URL for Tenure, with limits that no pause of a busy machine reaches."""
        return f"redis://127.0.0.1:{self.port}?connect_timeout=60s&call_timeout=60s"

    def stop(self) -> None:
        """Kills it."""
        self.process.kill()
        self.process.wait()
