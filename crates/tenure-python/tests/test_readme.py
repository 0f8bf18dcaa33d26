"""The Python blocks of the documents run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tenure
from tenure import _errors, _options

PACKAGE = Path(__file__).parents[1]
SOURCES = str(Path(tenure.__file__).parents[1])
ROOT = PACKAGE.parents[1]
DOCUMENTS = {
    "README.md": ROOT / "README.md",
    "package": PACKAGE / "README.md",
    "tutorial": ROOT / "docs" / "tutorial.md",
}


def blocks(name: str) -> list[str]:
    text = DOCUMENTS[name].read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


BLOCKS = [(name, number) for name in DOCUMENTS for number in range(len(blocks(name)))]


def run(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TENURE_")}
    environment |= {"TENURE_STORE_FILE": str(directory / "locks.db"), "PYTHONPATH": SOURCES}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("name", "number"), BLOCKS)
def test_a_block_runs(name: str, number: int, tmp_path: Path) -> None:
    ran = run(blocks(name)[number], tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not ran.stderr


def test_each_document_has_blocks() -> None:
    assert {name for name, _ in BLOCKS} == set(DOCUMENTS)
    assert len(BLOCKS) >= 8


def test_the_blocks_print_what_they_promise(tmp_path: Path) -> None:
    printed = [run(block, tmp_path).stdout for block in blocks("package")]
    assert printed[0].startswith("ours alone, with fence ")
    assert printed[1].startswith("ours alone, with fence ")
    assert printed[2] == "nobody else buys lamp\n"
    assert printed[3].startswith("stopped: ")
    assert printed[4] == "['a', 'b']\nhost-1\ndone False\n"


def test_every_option_and_exception_has_its_row() -> None:
    text = DOCUMENTS["package"].read_text()
    names = set(_options.MUTEX_NAMES) | set(_errors.__all__) - {"Error"}
    for name in names:
        assert f"\n| `{name}` |" in text, f"no row for {name}"


def test_the_figures_are_those_of_the_run_that_was_kept() -> None:
    text = DOCUMENTS["package"].read_text()
    run = json.loads((PACKAGE.parents[1] / "bench/python.json").read_text())
    assert f", {run['date']}:" in text
    for figure in run["figures"]:
        row = next(line for line in text.splitlines() if line.startswith(f"| {figure['name']} |"))
        shown = [float(cell) for cell in row.split("|")[3:5] if cell.strip()]
        kept = [figure[who] for who in ("tenure", "redis_py") if who in figure]
        assert shown == pytest.approx(kept, rel=0.01), figure["name"]


def test_every_example_has_its_row() -> None:
    text = DOCUMENTS["package"].read_text()
    for example in (PACKAGE / "examples").glob("*.py"):
        assert f"\n| [{example.stem}](examples/{example.name}) |" in text
