"""A job that runs once per tick, over each store, in each way to call."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import tenure
from ways import Way


async def test_one_host_runs_the_job(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    job = locks.once(key, every=3600, since_last_run=True, label="host-1")
    assert await way.call(job.last) is None
    first = await way.call(job.run, way.work(lambda run: run.held))
    assert (first.ran, first.value, first.last) == (True, True, None)
    second = await way.call(job.run, way.work(lambda run: "again"))
    assert (second.ran, second.value) == (False, None)
    assert (second.last.state, second.last.label) == ("ok", "host-1")
    last = await way.call(job.last)
    assert last.state == "ok" and last.why is None
    assert abs(last.begun - time.time()) < 600
    assert last.took is not None and 0 <= last.took < 600
    assert (await way.call(job.inspect)).last_run == last


async def test_a_failure_is_on_record(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    job = locks.once(key, every=timedelta(hours=1), since_last_run=True)

    def fail(run: object) -> None:
        raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        await way.call(job.run, way.work(fail))
    last = await way.call(job.last)
    assert (last.state, last.why) == ("failed", "ValueError: no disk")
    assert not (await way.call(job.run, way.work(lambda run: None))).ran
    again = locks.once(key, every=3600, since_last_run=True, retry_failed=True)
    assert (await way.call(again.run, way.work(lambda run: None))).ran


async def test_a_run_is_ended_by_its_holder(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    job = locks.once(key, every=3600, since_last_run=True)
    run = await way.call(job.begin)
    assert isinstance(run, way.module.Run)
    assert run.held and run.key == key and run.fence > 0
    other = await way.call(job.begin)
    assert isinstance(other, tenure.LastRun)
    assert other.state == "running"
    await way.call(run.finish, "half of it")
    assert not run.held
    assert (await way.call(job.last)).why == "half of it"
    with pytest.raises(tenure.Invalid):
        await way.call(run.finish)


async def test_a_run_that_is_given_back_has_failed(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    job = locks.once(key, every=3600, since_last_run=True, retry_failed=True)
    run = await way.call(job.begin)
    assert await way.call(run.release) == "released"
    last = await way.call(job.last)
    assert (last.state, last.why) == ("failed", "given back unfinished")
    again = await way.call(job.run, way.work(lambda run: 7))
    assert again.value == 7


async def test_it_needs_a_period_and_takes_few_options(way: Way, url: str, key: str) -> None:
    locks = await way.connect(url)
    with pytest.raises(tenure.Invalid, match="every"):
        await way.call(locks.once(key).begin)
    with pytest.raises(tenure.Invalid, match="'wait'"):
        locks.once(key, every=3600, wait=1)
