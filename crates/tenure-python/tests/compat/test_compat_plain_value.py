"""``plain_value`` of a mutex: the key has the owner value and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
import redis.lock
from places import Server

import tenure
import tenure.aio


def test_the_key_has_the_owner_value_alone(
    server: Server, client: redis.Redis, name: str
) -> None:
    with tenure.connect(f"redis://127.0.0.1:{server.port}") as locks:
        with locks.mutex(name, plain_value=True, owner="me", ttl=30) as guard:
            assert client.get(name) == b"me"
            assert guard.fence > 0 and guard.owner == "me"
        with locks.mutex(name, owner="me") as guard:
            assert client.get(name) != b"me"

        @locks.locked(name, plain_value=True, owner="decorated")
        def work() -> Any:
            return client.get(name)

        assert work() == b"decorated"


def test_redis_py_extends_and_releases_what_asyncio_has_acquired(
    server: Server, client: redis.Redis, name: str
) -> None:
    async def main() -> None:
        locks = tenure.aio.connect(f"redis://127.0.0.1:{server.port}")
        guard = await locks.mutex(name, plain_value=True, ttl=30).acquire()
        theirs = redis.lock.Lock(client, name, timeout=60)
        theirs.local.token = guard.owner.encode()
        assert theirs.owned() and theirs.reacquire()
        theirs.release()
        assert await guard.release() == "gone"
        await locks.close()

    asyncio.run(main())


def test_other_stores_and_kinds_refuse_it() -> None:
    locks = tenure.connect("memory:")
    with pytest.raises(tenure.Invalid, match="plain value"):
        locks.mutex("key", plain_value=True).acquire()
    for make in (
        lambda **options: locks.semaphore("key", 2, **options),
        lambda **options: locks.rwlock("key", **options).read(),
        lambda **options: locks.election("key", **options).campaign(),
        lambda **options: locks.all(["key"], **options),
    ):
        with pytest.raises(TypeError, match="plain_value"):
            make(plain_value=True)
