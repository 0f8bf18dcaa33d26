"""A semaphore, over each store, in each way to call."""

from __future__ import annotations

import pytest
import tenure
from ways import Way

WITH_UNITS = ["memory", "sqlite", "redis", "valkey"]


@pytest.mark.stores(*WITH_UNITS)
async def test_as_many_as_there_are_permits(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.semaphore(key, 2)
    first, second = await way.call(lock.acquire), await way.call(lock.try_acquire)
    assert first.fence != second.fence
    assert await way.call(lock.try_acquire) is None
    with pytest.raises(tenure.Busy):
        await way.call(locks.semaphore(key, 2, wait=0.01).acquire)
    assert await way.call(first.release) == "released"
    third = await way.call(lock.acquire)
    assert third.fence > second.fence
    assert [holder.units for holder in (await way.call(lock.inspect)).holders] == [1, 1]
    for guard in (second, third):
        assert await way.call(guard.release) == "released"


@pytest.mark.stores(*WITH_UNITS)
async def test_a_claim_may_take_several_permits(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.semaphore(key, 4, units=3)):
        seen = await way.call(locks.semaphore(key, 4).inspect)
        assert (seen.state, seen.limit) == ("held", 4)
        assert [holder.units for holder in seen.holders] == [3]
        assert await way.call(locks.semaphore(key, 4, units=2).try_acquire) is None
        async with way.scope(locks.semaphore(key, 4, units=1)):
            assert await way.call(locks.semaphore(key, 4).try_acquire) is None


@pytest.mark.stores(*WITH_UNITS)
async def test_the_number_of_permits_can_change(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    assert await way.call(locks.semaphore(key, 1).set_permits, 1) is None
    async with way.scope(locks.semaphore(key, 1)):
        with pytest.raises(tenure.Mismatch):
            await way.call(locks.semaphore(key, 2).try_acquire)
        assert await way.call(locks.semaphore(key, 1).set_permits, 2) == 1
        async with way.scope(locks.semaphore(key, 2)):
            assert (await way.call(locks.semaphore(key, 2).inspect)).limit == 2


@pytest.mark.stores(*WITH_UNITS)
async def test_a_ticket_hands_permits_over(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.semaphore(key, 2, units=2)
    ticket = await way.call((await way.call(lock.acquire)).hand_over)
    assert await way.call(locks.semaphore(key, 2).try_acquire) is None
    adopted = await way.call(lock.adopt, ticket)
    await way.call(adopted.extend_to, 100)
    assert adopted.remaining > 60
    assert await way.call(adopted.release) == "released"


@pytest.mark.stores(*WITH_UNITS)
async def test_work_runs_under_a_permit(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.semaphore(key, 1)
    seen = await way.call(lock.run, way.work(lambda guard: guard.held))
    assert seen is True
    assert not await way.call(lock.held_by_anyone)


async def test_impossible_numbers_are_refused(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    for permits, units in [(0, 1), (1, 2), (1, 0)]:
        with pytest.raises(tenure.Invalid):
            await way.call(locks.semaphore(key, permits, units=units).try_acquire)


@pytest.mark.stores("quorum")
async def test_a_quorum_refuses_it(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    for verb in ("acquire", "try_acquire"):
        with pytest.raises(tenure.Invalid, match="a semaphore needs a store") as caught:
            await way.call(getattr(locks.semaphore(key, 2), verb))
        assert not caught.value.may_hold
        assert caught.value.store is not None and caught.value.store.startswith("quorum:")
