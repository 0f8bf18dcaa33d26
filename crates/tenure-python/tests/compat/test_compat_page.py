"""The programs of docs/change-one-import.md run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import PATIENCE, Server

import tenure

PAGE = Path(__file__).resolve().parents[4] / "docs" / "change-one-import.md"
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
