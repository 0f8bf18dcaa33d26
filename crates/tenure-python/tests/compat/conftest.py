"""Servers for the tests of `tenure.compat`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import redis
from places import Server, single

_number = itertools.count()


@pytest.fixture(scope="session", params=["redis", "valkey"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server for all tests."""
    if request.param not in request.config.getoption("stores", request.param).split(","):
        pytest.skip(f"{request.param} is not asked for")
    with single(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A client of redis-py."""
    with redis.Redis(port=server.port) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A key that no other test uses."""
    return f"{request.node.originalname}:{next(_number)}"
