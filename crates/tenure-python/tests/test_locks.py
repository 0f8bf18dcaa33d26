"""The locks of a store: listing, watching, the default store, opening and closing."""

from __future__ import annotations

import os
import socket
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
import tenure
import tenure.aio
from test_process import program
from ways import Way, until


async def test_keys_are_listed_with_their_states(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    names = [f"{key}:{number}" for number in range(3)]
    guards = [await way.call(locks.mutex(name).acquire) for name in names]
    page = await way.call(locks.list, f"{key}:")
    assert [name for name, _ in page] == names
    assert [seen.fence for _, seen in page] == [guard.fence for guard in guards]
    assert all(seen.state == "held" for _, seen in page)
    page = await way.call(locks.list, prefix=f"{key}:", after=names[0], limit=1)
    assert [name for name, _ in page] == names[1:2]
    everything = [item async for item in way.items(locks.list_all(f"{key}:"))]
    assert [name for name, _ in everything] == names
    assert await way.call(locks.list, f"{key}:nothing") == []
    for guard in guards:
        await way.call(guard.release)


async def test_a_key_is_watched(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with aclosing(way.items(locks.watch(key, timedelta(milliseconds=10)))) as states:
        assert (await anext(states)).state == "free"
        guard = await way.call(locks.mutex(key).acquire)
        seen = await anext(states)
        assert (seen.state, seen.fence) == ("held", guard.fence)
        await way.call(guard.release)
        assert (await anext(states)).state == "free"


async def test_a_store_has_a_name(way: Way, url: str) -> None:
    locks = await way.connect(url)
    store = locks.store if way.blocks else await way.call(locks.store)
    assert store.partition(":")[0] == url.partition(":")[0]


@pytest.mark.stores("redis", "valkey")
async def test_a_secret_is_in_no_name_and_no_error(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url.replace("://", "://:hunter2@"))
    async with way.scope(locks.mutex(key)):
        with pytest.raises(tenure.Busy) as busy:
            await way.call(locks.mutex(key, wait=0).acquire)
    with pytest.raises(tenure.StoreRefused) as refused:
        locks = await way.connect(url.replace("://", "://nobody:hunter2@"))
        await way.call(locks.mutex(key).acquire)
    for caught in (busy.value, refused.value):
        assert caught.store is not None
        assert "hunter2" not in f"{caught!r} {caught} {caught.store}"


async def test_a_scope_closes_the_locks(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks) as same:
        assert same is locks
        guard = await way.call(locks.mutex(key).acquire)
    assert not guard.held
    with pytest.raises(tenure.Closed) as caught:
        await way.call(locks.mutex(key).acquire)
    assert caught.value.key == key


async def test_both_ways_share_the_locks(url: str, key: str) -> None:
    locks = tenure.aio.connect(url)
    async with locks.mutex(key):
        assert locks.blocking.mutex(key).try_acquire() is None
    guard = locks.blocking.mutex(key).try_acquire()
    assert guard is not None
    assert await locks.mutex(key).try_acquire() is None
    guard.release()


async def test_a_bad_url_is_refused(way: Way) -> None:
    for url in ("", "nonsense", "memory:more", "redis://", "quorum:memory:", "sqlite:"):
        with pytest.raises(tenure.Invalid):
            locks = await way.connect(url)
            await way.call(locks.mutex("any").acquire)


async def test_a_store_that_cannot_be_reached_is_unavailable(way: Way) -> None:
    with socket.socket() as taken:
        # Bound and not listened to: nobody answers there.
        taken.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(tenure.StoreUnavailable) as caught:
            locks = await way.connect(url, store_timeout=1)
            await way.call(locks.mutex("any").acquire)
    assert "127.0.0.1" in str(caught.value)
    assert not caught.value.may_hold


async def test_a_store_that_comes_later_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    locks = tenure.aio.connect(f"sqlite:{directory}/locks.db")
    with pytest.raises(tenure.Error):
        await locks.mutex("any").acquire()
    directory.mkdir()
    assert await (await locks.mutex("any").acquire()).release() == "released"


DEFAULT = """
import asyncio, os, sys
import tenure, tenure.aio

assert tenure.default_locks().store.startswith("sqlite"), tenure.default_locks().store

@tenure.locked("stock:{item}", ttl=10)
def buy(item, count=1):
    return tenure.mutex(f"stock:{item}").held_by_anyone()

@tenure.aio.locked()
async def sell():
    return await tenure.aio.mutex("__main__.sell").held_by_anyone()

assert buy("book") and not tenure.mutex("stock:book").held_by_anyone()
assert asyncio.run(sell())
with tenure.semaphore("render", 2), tenure.rwlock("prices").read(), tenure.all(["a", "b"]):
    with tenure.election("primary").campaign("me"):
        assert tenure.election("primary").leader().value == "me"
assert tenure.once("nightly", every=60).run(lambda run: 5).value == 5
async def main():
    async with tenure.aio.mutex("m"), tenure.aio.semaphore("s", 1), tenure.aio.all(["x"]):
        async with tenure.aio.rwlock("w").write(), tenure.aio.election("e").campaign():
            assert await tenure.aio.once("job", every=60).last() is None
            assert tenure.mutex("m").try_acquire() is None
asyncio.run(main())
tenure.set_default(tenure.connect("memory:"))
assert tenure.default_locks().store.startswith("memory")
with tenure.mutex("m"):
    print("done")
"""


def test_the_default_store_is_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENURE_STORE", raising=False)
    monkeypatch.setenv("TENURE_STORE_FILE", os.fspath(tmp_path / "locks.db"))
    ended = program(DEFAULT)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
    assert (tmp_path / "locks.db").exists()
    monkeypatch.setenv("TENURE_STORE", "nonsense")
    ended = program("import tenure; tenure.mutex('m').acquire()")
    assert ended.returncode == 1
    assert "Invalid" in ended.stderr


MISSPELT = """
import asyncio, sys
import tenure, tenure.aio

async def main():
    async with tenure.aio.mutex("m"):
        pass

{use}
"""


@pytest.mark.parametrize(
    "use", ["tenure.mutex('m').acquire()", "asyncio.run(main())", "tenure.default_locks().list()"]
)
def test_a_misspelt_variable_is_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    monkeypatch.delenv("TENURE_STORE", raising=False)
    monkeypatch.setenv("TENURE_STORE_FILE", os.fspath(tmp_path / "locks.db"))
    monkeypatch.setenv("TENURE_STOER", "redis://:secret@locks.internal")
    ended = program(MISSPELT.format(use=f"{use}; tenure.mutex('n').held_by_anyone()"))
    assert ended.returncode == 0, ended.stderr
    warning = "TENURE_STOER (did you mean TENURE_STORE?)"
    assert ended.stderr.count(warning) == 1, ended.stderr
    assert "RuntimeWarning: not read, since tenure has no such variable" in ended.stderr
    assert "secret" not in ended.stderr


def test_a_program_that_names_its_store_is_not_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_STOER", "redis://locks.internal")
    named = "import tenure; tenure.set_default(tenure.connect('memory:')); tenure.mutex('m')"
    ended = program(named)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.stores("redis", "valkey")
async def test_a_foreign_value_is_no_lock(way: Way, url: str, key: str) -> None:
    import redis

    locks = await way.connect(url)
    with redis.Redis.from_url(url.partition("?")[0]) as client:
        client.set(key, "somebody's")
        seen = await way.call(locks.mutex(key).inspect)
        assert seen.state == "foreign"
        assert seen.foreign
        assert await way.call(locks.mutex(key).held_by_anyone)
        with pytest.raises(tenure.Mismatch):
            await way.call(locks.mutex(key, wait=0.05).acquire)
        client.delete(key)
    guard = await until(lambda: way.call(locks.mutex(key).try_acquire))
    await way.call(guard.release)
