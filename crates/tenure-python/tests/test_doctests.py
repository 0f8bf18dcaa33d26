"""The examples in the docstrings run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import tenure

SOURCES = str(Path(tenure.__file__).parents[1])

# In an interpreter of its own, since the example of `log_events` concerns the whole process.
PROGRAM = """
import doctest, importlib, json, pkgutil, tenure
names = ["tenure", *(f"tenure.{module.name}" for module in pkgutil.iter_modules(tenure.__path__))]
ran = {name: doctest.testmod(importlib.import_module(name)) for name in names}
print(json.dumps({name: [result.failed, result.attempted] for name, result in ran.items()}))
"""


def test_the_docstrings_run() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    results: dict[str, list[int]] = json.loads(ran.stdout.splitlines()[-1])
    assert {name for name, (failed, _) in results.items() if failed} == set(), ran.stdout
    with_examples = {name for name, (_, attempted) in results.items() if attempted}
    assert with_examples >= {"tenure", "tenure.aio", "tenure.testing", "tenure._sync"}
