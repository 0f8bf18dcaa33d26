"""The programs of docs/change-one-import.md run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from places import PATIENCE, Server, single

import tenure
from tenure.compat.redis import Lock
from tenure.compat.redis_lock_guide import acquire_lock, release_lock

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "change-one-import.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
PRINTED = [
    "token True\n",
    "owned True\n",
    "nobody else buys lamp\n",
    "nobody else has order 7\ndone\n",
]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_a_program_of_the_page_runs(server: Server, number: int, tmp_path: Path) -> None:
    sources = str(Path(tenure.__file__).parents[1])
    path = os.pathsep.join([sources, *filter(None, [os.environ.get("PYTHONPATH")])])
    url = f"redis://127.0.0.1:{server.port}"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKS[number]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "REDIS_URL": url},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, PRINTED[number], "")


def test_each_program_of_the_page_is_run() -> None:
    assert len(BLOCKS) == len(PRINTED)


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
def test_the_rights_of_the_page_suffice(flavour: str, tmp_path: Path) -> None:
    safety = (ROOT / "SAFETY.md").read_text()
    listed = re.search(r"^user tenure on >PASSWORD (.*?)^```", safety, re.MULTILINE | re.DOTALL)
    more = re.search(r"and `(\+[a-z +]+)` besides", PAGE.read_text())
    assert listed and more
    with single(flavour, tmp_path) as server, redis.Redis(port=server.port) as root:
        rights = [*listed[1].split(), *more[1].split()]
        root.execute_command("ACL", "SETUSER", "tenure", "on", ">secret", *rights)
        with redis.Redis(port=server.port, username="tenure", password="secret") as client:
            with Lock(client, "jobs:1", timeout=60) as lock:
                assert lock.owned() and lock.locked()
                # Longer, shorter, and longer again by the value alone.
                for seconds in (90, 30, 60):
                    assert lock.extend(seconds, replace_ttl=True)
                assert not acquire_lock(client, "jobs:1", "other", acquire_timeout=0.1)
            with Lock(client, "jobs:2"):
                assert root.pttl("jobs:2") > 0
            root.set("jobs:3", "theirs")
            assert not acquire_lock(client, "jobs:3", "ours", acquire_timeout=0.1)
            root.set("jobs:4", "ours")
            assert release_lock(client, "jobs:4", "ours")
