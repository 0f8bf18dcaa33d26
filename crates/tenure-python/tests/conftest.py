"""Stores, and the ways to call, as fixtures: a test that names ``locks`` runs over each store in
each way. Coroutine functions run on the loop of their way."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from servers import Server
from ways import NAMES, PATIENCE, Way

STORES = ["memory", "sqlite", "redis", "valkey", "quorum"]
_number = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Says over which stores to run."""
    parser.addoption("--stores", default=",".join(STORES), help="stores to run over, by commas")


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marks of these tests."""
    config.addinivalue_line("markers", "stores(*names): the stores that a test runs over; all")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test over each store, and in each way, that it does not leave out."""
    if "way" in metafunc.fixturenames:
        metafunc.parametrize("way", NAMES, indirect=True)
    if "url" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("stores")
        metafunc.parametrize("url", mark.args if mark else STORES, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Leaves out the stores that are not asked for."""
    asked = config.getoption("stores").split(",")
    callspecs = [getattr(item, "callspec", None) for item in items]
    stores = [callspec and callspec.params.get("url") for callspec in callspecs]
    items[:] = [item for item, store in zip(items, stores) if store is None or store in asked]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine function on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    way = pyfuncitem.funcargs.get("way")
    run = uvloop.run if way is not None and way.name == "uvloop" else asyncio.run
    run(asyncio.wait_for(pyfuncitem.obj(**arguments), 2 * PATIENCE))
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The closing line that ./test adds up."""
    stats = terminalreporter.stats
    passed = len(stats.get("passed", []))
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    word = "FAILED" if failed else "ok"
    terminalreporter.write_line(f"test result: {word}. {passed} passed; {failed} failed;")


def _server(flavour: str, factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(flavour, factory.mktemp(flavour))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis server for all tests."""
    yield from _server("redis", tmp_path_factory)


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey server for all tests."""
    yield from _server("valkey", tmp_path_factory)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store."""
    name = request.param
    if name == "memory":
        return "memory:"
    if name == "sqlite":
        return f"sqlite:{tmp_path}/locks.db"
    if name == "quorum":
        return "quorum:" + " ".join(f"sqlite:{tmp_path}/{node}.db" for node in "abc")
    server: Server = request.getfixturevalue(f"{name}_server")
    return server.url


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Way:
    """The way to call."""
    return Way(request.param)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return f"{request.node.originalname}:{next(_number)}"
