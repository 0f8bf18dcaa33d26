"""Real servers for these tests: single, behind Sentinel, as a cluster, with TLS and a socket. Each
has free ports and a directory of its own, and the kernel kills it when the tests end."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

PROGRAMS = Path(__file__).resolve().parents[4] / ".cache" / "servers"
# Seconds; far beyond what a busy machine needs.
PATIENCE = 60
_LIBC = ctypes.CDLL(None)


def until(is_so: Callable[[], Any]) -> Any:
    """Waits for a condition, and answers what it answered."""
    end = time.monotonic() + PATIENCE
    while not (answer := is_so()):
        assert time.monotonic() < end, f"not within {PATIENCE} s: {is_so}"
        time.sleep(0.005)
    return answer


def free_port() -> int:
    """A port that nobody has at the moment; below 55536, as a cluster's bus needs it."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port < 55536:
                return port


class Server:
    """One process of a server."""

    def __init__(self, flavour: str, directory: Path, *options: str, config: str = "") -> None:
        home = PROGRAMS / flavour
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        file = directory / "server.conf"
        environment = {**os.environ, "LD_LIBRARY_PATH": str(home / "lib")}
        self.log = directory / "log"
        for _ in range(10):
            # Another process may have taken the port meanwhile.
            self.port = free_port()
            file.write_text(
                f"bind 127.0.0.1\nport {self.port}\ndir {directory}\nsave \"\"\nappendonly no\n"
                f"unixsocket {directory}/socket\n{config}"
            )
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [home / "bin" / f"{flavour}-server", file, *options],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=lambda: _LIBC.prctl(1, signal.SIGKILL),
                )
            until(lambda: self.process.poll() is not None or self._answers())
            if self.process.poll() is None:
                return
        raise AssertionError(f"{flavour} does not start: {self.log.read_text()}")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as wire:
                wire.sendall(b"PING\r\n")
                return wire.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def stop(self) -> None:
        """Kills it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def single(flavour: str, directory: Path, **options: Any) -> Iterator[Server]:
    """One server."""
    server = Server(flavour, directory, **options)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def sentinel(flavour: str, directory: Path) -> Iterator[tuple[Server, Server]]:
    """A server with a password, and a Sentinel with another that knows it as ``main``."""
    with single(flavour, directory / "main", config="requirepass secret\n") as server:
        config = (
            f"sentinel monitor main 127.0.0.1 {server.port} 1\n"
            "sentinel auth-pass main secret\nrequirepass watch\n"
        )
        watcher = Server(flavour, directory / "watch", "--sentinel", config=config)
        try:
            yield server, watcher
        finally:
            watcher.stop()


@contextmanager
def cluster(flavour: str, directory: Path) -> Iterator[list[Server]]:
    """A cluster of two nodes that have half of the slots each."""
    nodes: list[Server] = []
    try:
        for index in range(2):
            config = "cluster-enabled yes\ncluster-node-timeout 5000\n"
            nodes.append(Server(flavour, directory / str(index), config=config))
        first, second = (redis.Redis(port=node.port) for node in nodes)
        first.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
        second.execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
        second.execute_command("CLUSTER SET-CONFIG-EPOCH", 2)
        first.execute_command("CLUSTER MEET", "127.0.0.1", nodes[1].port)
        for each in (first, second):
            until(lambda each=each: each.cluster("INFO")["cluster_state"] == "ok")
            until(lambda each=each: each.cluster("INFO")["cluster_known_nodes"] == "2")
            each.close()
        yield nodes
    finally:
        for node in nodes:
            node.stop()


def certificates(directory: Path) -> tuple[Path, Path]:
    """A certificate of its own authority for localhost, and its key."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        + ["-addext", "basicConstraints=critical,CA:FALSE"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key
