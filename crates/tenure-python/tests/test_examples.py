"""Each example runs by itself, and prints what its first lines say."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import tenure

EXAMPLES = Path(__file__).parents[1] / "examples"
SOURCES = str(Path(tenure.__file__).parents[1])

# The packages of others that an example needs.
NEEDS: dict[str, list[str]] = {
    "cache": [],
    "celery_task": ["celery"],
    "cron": [],
    "django_command": ["django"],
    "hand_over": [],
    "spans": ["opentelemetry.sdk"],
    "stock": [],
    "web": ["fastapi", "httpx"],
    "workers": [],
}


def is_missing(package: str) -> bool:
    try:
        return find_spec(package) is None
    except ModuleNotFoundError:
        return True


def promised(example: str) -> list[str]:
    """The lines that the text at the top says it prints."""
    text = ast.get_docstring(ast.parse((EXAMPLES / f"{example}.py").read_text()))
    assert text is not None
    lines = text.splitlines()
    start = next(at for at, line in enumerate(lines) if "print" in line and line.endswith(":"))
    rest = [*lines[start + 2 :], ""]
    return [line.strip() for line in rest[: rest.index("")]]


def started(example: str, directory: Path) -> subprocess.Popen[str]:
    names = ("TENURE_STORE", "TENURE_STORE_FILE", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"TENURE_STORE_FILE": str(directory / "locks.db"), "PYTHONPATH": SOURCES}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / f"{example}.py")],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> list[str]:
    try:
        out, err = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    return out.splitlines()


def test_every_example_is_tested() -> None:
    assert sorted(NEEDS) == sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("example", sorted(NEEDS.keys() - {"cron"}))
def test_an_example_prints_what_it_promises(example: str, tmp_path: Path) -> None:
    for package in NEEDS[example]:
        if is_missing(package):
            pytest.skip(f"{package} is not installed")
    assert printed(started(example, tmp_path)) == promised(example)


def test_a_cron_job_runs_once(tmp_path: Path) -> None:
    both = [started("cron", tmp_path), started("cron", tmp_path)]
    first = sorted(line for process in both for line in printed(process))
    late = printed(started("cron", tmp_path))
    expected = sorted(promised("cron"))
    running = "not now: the last run is running"
    assert [line.replace(running, expected[0]) for line in first] == expected[1:]
    assert late == expected[:1]
