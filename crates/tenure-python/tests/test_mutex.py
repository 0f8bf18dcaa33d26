"""A mutex, over each store, in each way to call."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import tenure
from ways import Way, until


async def test_one_holder_at_a_time(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key)
    guard = await way.call(lock.acquire)
    assert guard.held and guard.key == key and guard.keys == [key]
    assert 0 < guard.remaining <= 30
    assert await way.call(lock.try_acquire) is None
    assert await way.call(guard.release) == "released"
    again = await way.call(lock.try_acquire)
    assert again.fence > guard.fence
    assert again.fences == {key: again.fence}
    assert await way.call(again.release) == "released"


async def test_a_wait_ends_as_busy(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.mutex(key)):
        with pytest.raises(tenure.Busy) as caught:
            await way.call(locks.mutex(key, wait=timedelta(milliseconds=50)).acquire)
        assert caught.value.key == key
        assert caught.value.store is not None
        assert not caught.value.may_hold
        assert key in str(caught.value)


async def test_a_waiter_is_next(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key).acquire)
    waiter = asyncio.create_task(way.call(locks.mutex(key, wait=60).acquire))
    if not url.startswith("quorum"):
        await until(lambda: way.waiters(locks.mutex(key)))
    assert not waiter.done()
    await way.call(guard.release)
    second = await waiter
    assert second.fence > guard.fence
    await way.call(second.release)


async def test_a_second_release_is_refused(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key).acquire)
    await way.call(guard.release)
    assert not guard.held
    assert guard.remaining == 0
    with pytest.raises(tenure.Invalid):
        await way.call(guard.release)
    with pytest.raises(tenure.LockLost):
        guard.check()


async def test_the_lease_is_made_longer(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.mutex(key, ttl=20)) as guard:
        await way.call(guard.extend_to, 100)
        assert 60 < guard.remaining <= 100
        await way.call(guard.extend_by, timedelta(seconds=100))
        assert 120 < guard.remaining <= 200


async def test_a_ticket_serves_once(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key).acquire)
    ticket = await way.call(guard.hand_over, keep=60)
    assert isinstance(ticket, str)
    assert not guard.held
    assert await way.call(locks.mutex(key).try_acquire) is None
    other = await way.connect(url) if not url.startswith("memory") else locks
    adopted = await way.call(other.adopt, ticket)
    assert adopted.fence == guard.fence
    adopted.check()
    with pytest.raises(tenure.LockLost):
        await way.call(locks.adopt, ticket)
    assert await way.call(adopted.release) == "released"


async def test_a_ticket_is_of_its_key(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    ticket = await way.call((await way.call(locks.mutex(key).acquire)).hand_over)
    with pytest.raises(tenure.Invalid):
        await way.call(locks.mutex(f"{key}:other").adopt, ticket)
    await way.call((await way.call(locks.mutex(key).adopt, ticket)).release)
    with pytest.raises(tenure.Invalid):
        await way.call(locks.adopt, "no ticket")


async def test_it_is_known_who_holds(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key, owner="job 7")
    assert not await way.call(lock.held_by_anyone)
    assert not await way.call(lock.held_by_me)
    async with way.scope(lock):
        assert await way.call(lock.held_by_anyone)
        assert await way.call(lock.held_by_me)
        assert await way.call(locks.mutex(key).held_by_anyone)
        assert not await way.call(locks.mutex(key, owner="job 8").held_by_me)
    assert not await way.call(lock.held_by_anyone)
    with pytest.raises(tenure.Invalid, match="owner"):
        await way.call(locks.mutex(key).held_by_me)


async def test_a_look_says_the_state(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key, ttl=50, label="the night shift", owner="a fixed value")
    free = await way.call(lock.inspect)
    assert (free.state, free.holders, free.waiters, free.last_run) == ("free", (), (), None)
    async with way.scope(lock) as guard:
        assert guard.owner == "a fixed value"
        seen = await way.call(lock.inspect)
        assert seen.state == "held"
        assert seen.fence == guard.fence
        (holder,) = seen.holders
        assert (holder.owner, holder.label) == ("a fixed value", "the night shift")
        assert holder.exclusive
        assert holder.fence == guard.fence
        assert 0 <= holder.since <= 50
        assert 0 < holder.remaining <= 50
        assert bool(seen.nodes) == url.startswith("quorum")
    if url.startswith("quorum"):
        assert [node.answered for node in seen.nodes].count(True) >= 2
        assert [node.holds for node in seen.nodes].count(True) >= 2


async def test_a_fixed_owner_is_released_by_its_value(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key, owner="job 7").acquire)
    assert await way.call(locks.release_owner, key, "job 8") == "others"
    assert guard.held
    assert await way.call(locks.release_owner, key, "job 7") == "released"
    assert await way.call(locks.release_owner, key, "job 7") == "gone"


async def test_a_forced_lock_is_lost(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key, on_lost="raise", renew=0.02, ttl=10)
    with pytest.raises(tenure.LockLost) as caught:
        async with way.scope(lock) as guard:
            assert await way.call(lock.force_release) == 1
            if way.blocks:
                await way.call(guard.wait_lost)
            else:
                assert isinstance(await guard.lost, str)
            assert not guard.held
    assert caught.value.key == key


async def test_a_stolen_lock_is_another_holder_s(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    first = await way.call(locks.mutex(key, renew=0.02).acquire)
    second = await way.call(locks.mutex(key).steal)
    assert second.fence > first.fence
    await until(lambda: not first.held)
    assert await way.call(first.release) in ("gone", "others")
    second.check()
    assert await way.call(second.release) == "released"


@pytest.mark.stores("memory", "redis")
async def test_a_lock_without_renewal_ends(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key, ttl=0.5, renew=False).acquire)
    await until(lambda: not guard.held)
    next_one = await way.call(locks.mutex(key, wait=60).acquire)
    assert next_one.fence > guard.fence
    await way.call(next_one.release)


@pytest.mark.stores("memory", "redis")
async def test_max_hold_ends_the_lock(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key, ttl=20, max_hold=0.5).acquire)
    await until(lambda: not guard.held)
    with pytest.raises(tenure.LockLost):
        guard.check()


async def test_min_hold_keeps_the_key_taken(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key, min_hold=200, ttl=20).acquire)
    await way.call(guard.release)
    assert await way.call(locks.mutex(key).try_acquire) is None
    assert await way.call(locks.mutex(key).force_release) == 1


async def test_retries_limit_the_wait(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.mutex(key)):
        with pytest.raises(tenure.Busy):
            await way.call(locks.mutex(key, retries=(3, 0.01)).acquire)


async def test_run_answers_what_the_work_did(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key)
    assert await way.call(lock.run, way.work(lambda guard: (guard.held, guard.key))) == (True, key)
    assert not await way.call(lock.held_by_anyone)


async def test_a_failed_run_is_compensated_under_the_lock(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key)
    seen: list[Any] = []

    def fail(guard: Any) -> None:
        raise ValueError("the work's own")

    def compensate(guard: Any, error: BaseException) -> None:
        seen.append((guard.held, str(error)))

    with pytest.raises(ValueError, match="the work's own"):
        await way.call(lock.run, way.work(fail), compensation=way.work(compensate))
    assert seen == [(True, "the work's own")]
    assert not await way.call(lock.held_by_anyone)


@pytest.mark.stores("memory", "redis")
async def test_the_body_s_error_comes_first(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    with pytest.raises(ZeroDivisionError) as caught:
        async with way.scope(locks.mutex(key, on_lost="raise", ttl=0.5, renew=False)) as guard:
            await until(lambda: not guard.held)
            raise ZeroDivisionError
    assert isinstance(caught.value.__context__, tenure.LockLost)


@pytest.mark.stores("memory", "redis")
async def test_finished_work_may_stand(way: Way, url: str, key: str, caplog: Any) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.mutex(key, raise_on_lost=False, ttl=0.5, renew=False)) as guard:
        await until(lambda: not guard.held)
    assert key in caplog.text


async def test_one_lock_serves_many_callers(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key, wait=60)
    inside = most = 0

    async def one() -> None:
        nonlocal inside, most
        guard = await way.call(lock.acquire)
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        await way.call(guard.release)

    await asyncio.gather(*(one() for _ in range(8)))
    assert most == 1


async def test_a_scope_within_the_body_s_own_release(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.mutex(key)) as guard:
        assert await way.call(guard.release) == "released"


async def test_a_forgotten_guard_is_released(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    lock = locks.mutex(key, ttl=200)
    guard = await way.call(lock.acquire)
    assert guard.held
    del guard
    second = await way.call(locks.mutex(key, wait=60).acquire)
    await way.call(second.release)


async def test_closed_locks_say_so(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    guard = await way.call(locks.mutex(key).acquire)
    await way.call(locks.close, 5)
    assert not guard.held
    with pytest.raises(tenure.Closed):
        await way.call(locks.mutex(key).acquire)
