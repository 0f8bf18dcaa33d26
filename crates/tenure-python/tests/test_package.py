"""The package as a whole: its names, its documentation, the time to import it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tenure
import tenure.aio
from test_process import program

MODULES = sorted(
    f"tenure.{module.name}"
    for module in pkgutil.iter_modules(tenure.__path__)
    if module.name != "_tenure"
)
PUBLIC = ["tenure", *(name for name in MODULES if not name.startswith("tenure._"))]


def _members(owner: Any) -> Iterator[tuple[str, Any]]:
    for name, member in vars(owner).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            yield name, member


@pytest.mark.parametrize("name", ["tenure", "tenure.aio", "tenure.testing"])
def test_every_public_name_has_an_example(name: str) -> None:
    module = importlib.import_module(name)
    without = [n for n in module.__all__ if ">>>" not in (inspect.getdoc(getattr(module, n)) or "")]
    assert not without


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    missing = [] if module.__doc__ else [name]
    for public in getattr(module, "__all__", [n for n, _ in _members(module)]):
        found = getattr(module, public)
        if not inspect.getdoc(found):
            missing.append(f"{name}.{public}")
        if inspect.isclass(found) and found.__module__.startswith("tenure"):
            of_class = [f"{name}.{public}.{n}" for n, m in _members(found) if not m.__doc__]
            missing += of_class
    assert not missing


def test_both_ways_have_the_same_names() -> None:
    only_blocking, only_waiting = {"log_events"}, {"Lost"}
    assert set(tenure.__all__) - only_blocking == set(tenure.aio.__all__) - only_waiting
    for name in set(tenure.__all__) & set(tenure.aio.__all__):
        one, other = getattr(tenure, name), getattr(tenure.aio, name)
        if inspect.isclass(one) and one is not other:
            verbs = {verb for verb, _ in _members(one)} ^ {verb for verb, _ in _members(other)}
            assert verbs <= {"wait_lost", "lost", "blocking"}, name


TIMED = "from time import process_time as now; begun = now(); import tenure; print(now() - begun)"


def test_it_is_imported_quickly() -> None:
    """At most 60 ms of processor time, of which the standard library's modules are a part."""
    seconds = [float(program(TIMED).stdout) for _ in range(5)]
    assert min(seconds) <= 0.060, seconds


def test_threads_alone_need_no_asyncio() -> None:
    ended = program("import sys, tenure; print('asyncio' in sys.modules)")
    assert ended.stdout == "False\n", ended.stderr


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    import tenure as package

    home = Path(package.__file__).parent.parent
    text = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import tenure, tenure.aio
print(tenure.connect("memory:").mutex("k").try_acquire().held)
"""
    (tmp_path / "tenure").symlink_to(home / "tenure")
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "True\n", ended.stderr


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import sys

main_first = sys.argv[1] == "main"
if main_first:
    import tenure
text = '''
try:
    import tenure
except ImportError as error:
    print("ImportError:", error)
else:
    print("imported")
'''
one = interpreters.create()
failed = interpreters.run_string(one, text)
assert failed is None, failed
interpreters.destroy(one)
import tenure
with tenure.connect("memory:").mutex("k") as guard:
    print("here:", guard.held)
"""


@pytest.mark.parametrize("first", ["main", "other"])
def test_a_subinterpreter_is_refused_and_told_so(first: str) -> None:
    ended = program(SUBINTERPRETER, first)
    assert ended.returncode == 0, ended
    refused, here = ended.stdout.splitlines()
    assert refused.startswith("ImportError: ") and "tenure" in refused, ended
    assert "support" in refused and "subinterpreters" in refused
    assert here == "here: True"
