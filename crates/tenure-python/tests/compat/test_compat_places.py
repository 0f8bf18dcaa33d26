"""Locks are where the client is: behind Sentinel, in a cluster, behind TLS, in a database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.lock
import redis.lock
from places import Server, certificates, cluster, free_port, sentinel, single
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.sentinel import Sentinel

from tenure.compat.redis import Lock
from tenure.compat.redis.asyncio import Lock as AsyncLock


def use(client: Any, name: str) -> None:
    """Uses every verb of a lock of the client, beside redis-py's own lock."""
    lock, theirs = (kind(client, name, timeout=30) for kind in (Lock, redis.lock.Lock))
    assert lock.acquire(blocking=False)
    assert client.get(name) == lock.local.token
    assert theirs.acquire(blocking=False) is False
    assert lock.owned() and lock.locked()
    assert lock.extend(10) and lock.reacquire()
    theirs.local.token = lock.local.token
    assert theirs.extend(1, replace_ttl=True)
    lock.release()
    with theirs:
        assert lock.acquire(blocking=False) is False
        lock.local.token = theirs.local.token
        # A token that another library has set.
        assert lock.extend(10)
    assert not lock.locked()


async def use_waiting(client: Any, name: str) -> None:
    """The same, of a client of asyncio."""
    kinds = (AsyncLock, redis.asyncio.lock.Lock)
    lock, theirs = (kind(client, name, timeout=30) for kind in kinds)
    assert await lock.acquire(blocking=False)
    assert await client.get(name) == lock.local.token
    assert await theirs.acquire(blocking=False) is False
    assert await lock.owned() and await lock.locked()
    assert await lock.extend(10) and await lock.reacquire()
    await lock.release()
    async with theirs:
        assert await lock.acquire(blocking=False) is False
        lock.local.token = theirs.local.token
        assert await lock.extend(10)
    assert not await lock.locked()


@pytest.fixture(scope="module", params=["redis", "valkey"])
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """A server and its Sentinel."""
    with sentinel(request.param, tmp_path_factory.mktemp("sentinel")) as both:
        yield both


@pytest.fixture(scope="module", params=["redis", "valkey"])
def nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """The nodes of a cluster."""
    with cluster(request.param, tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


def test_behind_sentinel(watched: tuple[Server, Server], name: str) -> None:
    places = [("127.0.0.1", watched[1].port)]
    manager = Sentinel(places, sentinel_kwargs={"password": "watch"})
    with manager.master_for("main", password="secret") as client, manager.sentinels[0]:
        use(client, name)

    async def test() -> None:
        manager = AsyncSentinel(places, sentinel_kwargs={"password": "watch"})
        async with manager.master_for("main", password="secret") as client, manager.sentinels[0]:
            await use_waiting(client, name)

    asyncio.run(test())


def test_in_a_cluster(nodes: list[Server], name: str) -> None:
    with redis.RedisCluster("127.0.0.1", nodes[0].port) as client:
        for number in range(6):
            use(client, f"{name}:{number}")
    with redis.RedisCluster.from_url(f"redis://127.0.0.1:{nodes[1].port}") as client:
        use(client, f"{name}:url")

    async def test() -> None:
        async with redis.asyncio.RedisCluster("127.0.0.1", nodes[1].port) as client:
            for number in range(6):
                await use_waiting(client, f"{name}:{number}")

    asyncio.run(test())


def test_behind_tls_and_a_password(tmp_path: Path, name: str) -> None:
    certificate, key = certificates(tmp_path / "files")
    with single("redis", tmp_path / "server") as plain:
        admin = redis.Redis(port=plain.port)
        admin.config_set("tls-cert-file", str(certificate))
        admin.config_set("tls-key-file", str(key))
        admin.config_set("tls-ca-cert-file", str(certificate))
        admin.config_set("tls-auth-clients", "no")
        rights = {"keys": ["*"], "channels": ["*"], "commands": ["+@all"]}
        admin.acl_setuser("app", True, passwords=["+p@/ss"], **rights)
        port = free_port()
        admin.config_set("tls-port", port)
        login = {"username": "app", "password": "p@/ss", "ssl": True}
        with redis.Redis("localhost", port, ssl_ca_certs=str(certificate), **login) as client:
            use(client, name)

        async def test() -> None:
            async with redis.asyncio.Redis(
                host="localhost", port=port, ssl_ca_certs=str(certificate), **login
            ) as client:
                await use_waiting(client, name)

        asyncio.run(test())


def test_behind_a_socket_and_in_its_database(server: Server, name: str) -> None:
    path = f"{server.directory}/socket"
    with redis.Redis(unix_socket_path=path, db=3) as client:
        use(client, name)
        with Lock(client, name, timeout=30), redis.Redis(port=server.port) as elsewhere:
            # The same name in another database is another key.
            assert not elsewhere.exists(name)
            assert Lock(elsewhere, name, timeout=30).acquire(blocking=False)

    async def test() -> None:
        async with redis.asyncio.Redis(unix_socket_path=path, db=3) as client:
            await use_waiting(client, name)

    asyncio.run(test())


def test_clients_of_one_server_share_one_connection(server: Server, name: str) -> None:
    def tenures(client: redis.Redis) -> int:
        return sum(each["name"].startswith("tenure") for each in client.client_list())

    with redis.Redis(port=server.port) as client, redis.Redis(port=server.port) as other:
        with Lock(client, name, timeout=30):
            before = tenures(client)
            for number in range(5):
                with Lock(other, f"{name}:{number}", timeout=30):
                    pass
            # A lone caller may get a second one.
            assert 1 <= before <= tenures(client) <= before + 1
