"""Several keys at once, over each store, in each way to call."""

from __future__ import annotations

import asyncio

import pytest
import tenure
from ways import Way, until


async def test_all_are_held_or_none(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    first, second, third = (f"{{{key}}}:{part}" for part in "abc")
    guard = await way.call(locks.all([second, first]).acquire)
    assert guard.keys == [first, second]
    assert guard.key == first
    assert sorted(guard.fences) == [first, second]
    for name in ("fence", "owner"):
        with pytest.raises(tenure.Invalid):
            getattr(guard, name)
    assert await way.call(locks.all([first, third]).try_acquire) is None
    assert not await way.call(locks.mutex(third).held_by_anyone)
    with pytest.raises(tenure.Busy):
        await way.call(locks.all([third, second], wait=0.05).acquire)
    assert await way.call(guard.release) == "released"
    async with way.scope(locks.all([first, second, third])) as again:
        assert again.fences[first] > guard.fences[first]
        assert again.fences[second] > guard.fences[second]


async def test_the_leases_are_made_longer_together(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.all([f"{{{key}}}:a", f"{{{key}}}:b"], ttl=20)) as guard:
        await way.call(guard.extend_to, 100)
        assert 60 < guard.remaining <= 100
        await way.call(guard.extend_by, 100)
        assert 120 < guard.remaining <= 200


async def test_no_order_makes_a_deadlock(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    keys = [f"{{{key}}}:{part}" for part in "abc"]
    orders = [keys, keys[::-1], [keys[1], keys[0]], [keys[2], keys[1]]]

    async def one(order: list[str]) -> None:
        for _ in range(3):
            guard = await way.call(locks.all(order, wait=60).acquire)
            await way.call(guard.release)

    await asyncio.gather(*(one(order) for order in orders))
    for name in keys:
        assert not await way.call(locks.mutex(name).held_by_anyone)


async def test_one_that_is_lost_loses_all(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    first, second = f"{{{key}}}:a", f"{{{key}}}:b"
    guard = await way.call(locks.all([first, second], renew=0.02).acquire)
    assert await way.call(locks.mutex(first).force_release) == 1
    await until(lambda: not guard.held)
    with pytest.raises(tenure.LockLost):
        guard.check()
    await way.call(guard.release)


async def test_several_keys_have_no_ticket(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.all([key]).acquire)
    with pytest.raises(tenure.Invalid, match="ticket"):
        await way.call(guard.hand_over)
    assert await way.call(guard.release) == "released"


async def test_a_key_counts_once_and_no_key_is_refused(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.all([key, key])) as guard:
        assert guard.keys == [key]
    with pytest.raises(tenure.Invalid):
        await way.call(locks.all([]).acquire)


async def test_work_runs_under_all(way: Way, url: str, key: str) -> None:
    lock = (await way.connect(url)).all([f"{{{key}}}:a", f"{{{key}}}:b"])
    assert await way.call(lock.run, way.work(lambda guard: len(guard.fences))) == 2
