"""A lock with many readers or one writer, over each store, in each way to call."""

from __future__ import annotations

import asyncio

import pytest
import tenure
from ways import Way, until

WITH_READERS = ["memory", "sqlite", "redis", "valkey"]


@pytest.mark.stores(*WITH_READERS)
async def test_many_read_or_one_writes(way: Way, url: str, key: str) -> None:
    lock = (await way.connect(url)).rwlock(key)
    async with way.scope(lock.read()), way.scope(lock.read()):
        assert await way.call(lock.write().try_acquire) is None
        holders = (await way.call(lock.read().inspect)).holders
        assert [holder.exclusive for holder in holders] == [False, False]
    async with way.scope(lock.write()):
        assert await way.call(lock.read().try_acquire) is None
        assert await way.call(lock.write().try_acquire) is None
        (holder,) = (await way.call(lock.write().inspect)).holders
        assert holder.exclusive


@pytest.mark.stores(*WITH_READERS)
async def test_a_writer_waits_for_the_readers(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    reader = await way.call(locks.rwlock(key).read().acquire)
    writer = asyncio.create_task(way.call(locks.rwlock(key, wait=60).write().acquire))
    waiting = await until(lambda: way.waiters(locks.rwlock(key).read()))
    assert [waiter.exclusive for waiter in waiting] == [True]
    with pytest.raises(tenure.Busy):
        await way.call(locks.rwlock(key, wait=0.01).read().acquire)
    await way.call(reader.release)
    guard = await writer
    assert guard.fence > reader.fence
    assert await way.call(guard.release) == "released"


@pytest.mark.stores(*WITH_READERS)
async def test_a_writer_becomes_a_reader_and_back(way: Way, url: str, key: str) -> None:
    lock = (await way.connect(url)).rwlock(key)
    writer = await way.call(lock.write().acquire)
    await way.call(writer.downgrade)
    other = await way.call(lock.read().try_acquire)
    assert await way.call(writer.try_upgrade) is False
    await way.call(other.release)
    assert await way.call(writer.try_upgrade) is True
    assert await way.call(lock.read().try_acquire) is None
    assert await way.call(writer.release) == "released"


@pytest.mark.stores(*WITH_READERS)
async def test_a_ticket_hands_a_reader_over(way: Way, url: str, key: str) -> None:
    lock = (await way.connect(url)).rwlock(key)
    ticket = await way.call((await way.call(lock.read().acquire)).hand_over)
    adopted = await way.call(lock.read().adopt, ticket)
    await way.call(adopted.extend_to, 100)
    assert adopted.remaining > 60
    assert await way.call(lock.write().try_acquire) is None
    assert await way.call(lock.read().force_release) == 1


async def test_other_guards_cannot_change_so(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.all([key])) as guard:
        for verb in (guard.downgrade, guard.try_upgrade):
            with pytest.raises(tenure.Invalid):
                await way.call(verb)


@pytest.mark.stores("quorum")
async def test_a_quorum_refuses_it(way: Way, url: str, key: str) -> None:
    lock = (await way.connect(url)).rwlock(key)
    for side in (lock.read(), lock.write()):
        with pytest.raises(tenure.Invalid, match="quorum") as caught:
            await way.call(side.try_acquire)
        assert not caught.value.may_hold
