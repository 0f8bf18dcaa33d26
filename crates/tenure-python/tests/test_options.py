"""The options of locks: seconds as numbers and as `timedelta`; bad ones are refused."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
import tenure
import tenure.aio
from ways import Way, until


@pytest.mark.parametrize("ttl", [50, 50.0, timedelta(seconds=50), True + 49])
async def test_times_are_numbers_or_timedeltas(way: Way, ttl: Any) -> None:
    locks = await way.connect("memory:")
    async with way.scope(locks.mutex("k", ttl=ttl)) as guard:
        assert 40 < guard.remaining <= 50


@pytest.mark.parametrize("option", ["ttl", "wait", "renew", "min_hold", "max_hold"])
@pytest.mark.parametrize("bad", [-1, -0.001, math.nan, math.inf, timedelta(seconds=-1)])
async def test_impossible_times_are_refused(way: Way, option: str, bad: Any) -> None:
    locks = await way.connect("memory:")
    with pytest.raises(tenure.Invalid, match=f"{option} of .* s cannot be"):
        locks.mutex("k", **{option: bad})
    with pytest.raises(tenure.Invalid, match="the delay of retries"):
        locks.mutex("k", retries=(3, bad))


@pytest.mark.parametrize("option", ["ttl", "wait", "min_hold", "max_hold"])
@pytest.mark.parametrize("bad", ["10", b"10", [10], object()])
async def test_what_is_no_time_is_refused(way: Way, option: str, bad: Any) -> None:
    locks = await way.connect("memory:")
    with pytest.raises(TypeError, match=f"{option} is seconds or a timedelta, not "):
        locks.mutex("k", **{option: bad})
    for name in ("owner", "label", "retries"):
        with pytest.raises(TypeError, match=f"{name} is .*, not 7"):
            locks.mutex("k", **{name: 7})


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": 0.001},
        {"ttl": 40 * 24 * 3600},
        {"ttl": timedelta(days=365_000)},
        {"ttl": 10, "renew": 20},
        {"owner": ""},
        {"owner": "x" * 257},
    ],
)
async def test_limits_are_said_and_kept(way: Way, options: dict[str, Any]) -> None:
    locks = await way.connect("memory:")
    with pytest.raises(tenure.Invalid) as caught:
        await way.call(locks.mutex("k", **options).acquire)
    assert caught.value.key == "k"
    assert not caught.value.may_hold
    assert not await way.call(locks.mutex("k").held_by_anyone)


@pytest.mark.parametrize("key", ["", "x" * 513, "a\0b"])
async def test_impossible_keys_are_refused(way: Way, key: str) -> None:
    locks = await way.connect("memory:")
    with pytest.raises(tenure.Invalid):
        await way.call(locks.mutex(key).acquire)


async def test_an_unknown_option_is_named(way: Way) -> None:
    locks = await way.connect("memory:")
    for make in (
        lambda **options: locks.mutex("k", **options),
        lambda **options: locks.semaphore("k", 1, **options),
        lambda **options: locks.rwlock("k", **options),
        lambda **options: locks.election("k", **options),
        lambda **options: locks.all(["k"], **options),
    ):
        with pytest.raises(TypeError, match="unknown option 'timeout'; there are label, "):
            make(timeout=3)
    with pytest.raises(tenure.Invalid, match="'timeout'"):
        locks.once("k", every=3, timeout=3)


async def test_contradictions_are_refused(way: Way) -> None:
    locks = await way.connect("memory:")
    with pytest.raises(tenure.Invalid, match="wait and retries"):
        locks.mutex("k", wait=1, retries=(3, 0.1))
    with pytest.raises(tenure.Invalid, match="contradict"):
        locks.mutex("k", raise_on_lost=False, on_lost="raise")
    with pytest.raises(tenure.Invalid, match="on_lost is"):
        locks.mutex("k", on_lost="explode")
    if way.blocks:
        with pytest.raises(tenure.Invalid, match="a thread cannot be interrupted"):
            locks.mutex("k", on_lost="cancel")


async def test_no_wait_is_one_try(way: Way) -> None:
    locks = await way.connect("memory:")
    async with way.scope(locks.mutex("k")):
        for options in ({"wait": 0}, {"wait": timedelta(0)}, {"retries": (0, 1)}):
            with pytest.raises(tenure.Busy):
                await way.call(locks.mutex("k", **options).acquire)


@pytest.mark.parametrize("renew", [True, 0.02, timedelta(milliseconds=20)])
async def test_it_is_renewed_beyond_its_ttl(renew: Any) -> None:
    locks = tenure.aio.connect("memory:")
    async with locks.mutex("k", ttl=3, renew=renew) as guard:

        async def has_outlived_its_ttl() -> bool:
            guard.check()
            return (await locks.mutex("k").inspect()).holders[0].since > 3.2

        await until(has_outlived_its_ttl)


@pytest.mark.parametrize("renew", [False, 0])
async def test_it_is_not_renewed(way: Way, renew: Any) -> None:
    locks = await way.connect("memory:")
    guard = await way.call(locks.mutex("k", ttl=0.5, renew=renew).acquire)
    await until(lambda: not guard.held)


async def test_defaults_are_as_documented(way: Way) -> None:
    locks = await way.connect("memory:")
    async with way.scope(locks.mutex("k")) as guard:
        assert 20 < guard.remaining <= 30
        (holder,) = (await way.call(locks.mutex("k").inspect)).holders
        assert holder.label.count(":") == 2
        assert guard.owner == holder.owner


@pytest.mark.parametrize("module", [tenure, tenure.aio])
def test_one_key_is_not_several_and_a_number_is_one(module: Any) -> None:
    locks = module.connect("memory:")
    with pytest.raises(tenure.Invalid, match="give several keys"):
        locks.all("abc")
    for number in (-1, 2**32, 1.5, True):
        with pytest.raises(tenure.Invalid, match="a number of permits"):
            locks.semaphore("k", number)


def test_the_default_store_is_that_of_locks() -> None:
    with pytest.raises(tenure.Invalid, match="what tenure.connect answers"):
        tenure.set_default("memory:")  # type: ignore[arg-type]
    with pytest.raises(tenure.Invalid, match="a number or a name of logging"):
        tenure.log_events("chatty")
