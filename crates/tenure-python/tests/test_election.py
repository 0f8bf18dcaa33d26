"""An election, over each store, in each way to call."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import tenure
from ways import Way, until


async def test_there_is_one_leader(way: Way, url: str, key: str) -> None:
    election = (await way.connect(url)).election(key)
    assert await way.call(election.leader) is None
    async with way.scope(election.campaign("host-1")) as leadership:
        leader = await way.call(election.leader)
        assert (leader.value, leader.term) == ("host-1", leadership.fence)
        assert leader.label
        assert await way.call(election.campaign("host-2").try_acquire) is None
        (holder,) = (await way.call(election.campaign().inspect)).holders
        assert holder.value == "host-1"
    assert await way.call(election.leader) is None
    async with way.scope(election.campaign("host-2")) as second:
        assert second.fence > leadership.fence


async def test_a_candidate_that_waits_too_long_is_told(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    async with way.scope(locks.election(key).campaign()):
        with pytest.raises(tenure.Busy):
            await way.call(locks.election(key, wait=0.01).campaign().acquire)


async def test_a_leader_changes_its_value(way: Way, url: str, key: str) -> None:
    election = (await way.connect(url)).election(key)
    leadership = await way.call(election.campaign("warming up").acquire)
    await way.call(leadership.set_value, "ready")
    assert (await way.call(election.leader)).value == "ready"
    with pytest.raises(tenure.Invalid):
        await way.call(leadership.set_value, "x" * 4097)
    await way.call(leadership.extend_to, 100)
    assert leadership.remaining > 60
    assert await way.call(leadership.release) == "released"


async def test_the_leaders_are_observed(way: Way, url: str, key: str) -> None:
    election = (await way.connect(url)).election(key)
    async with aclosing(way.items(election.observe(interval=0.01))) as leaders:
        assert await anext(leaders) is None
        guard = await way.call(election.campaign("a").acquire)
        seen = await anext(leaders)
        assert (seen.value, seen.term) == ("a", guard.fence)
        await way.call(guard.release)
        assert await anext(leaders) is None


async def test_a_leadership_has_no_ticket(way: Way, url: str, key: str) -> None:
    election = (await way.connect(url)).election(key)
    leadership = await way.call(election.campaign().acquire)
    with pytest.raises(tenure.Invalid, match="ticket"):
        await way.call(leadership.hand_over)
    leadership.check()
    assert await way.call(leadership.release) == "released"


async def test_a_leader_that_is_deposed_is_told(way: Way, url: str, key: str) -> None:
    election = (await way.connect(url)).election(key, renew=0.02)
    leadership = await way.call(election.campaign().acquire)
    assert await way.call(election.campaign().force_release) == 1
    await until(lambda: not leadership.held)
    with pytest.raises(tenure.LockLost):
        leadership.check()


async def test_work_runs_as_the_leader(way: Way, url: str, key: str) -> None:
    election = (await way.connect(url)).election(key)
    term = await way.call(election.campaign("me").run, way.work(lambda guard: guard.fence))
    assert term > 0
    assert await way.call(election.leader) is None
