"""The decorator, for functions and coroutine functions."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import pytest
import tenure
import tenure.aio
from ways import Way, until


def _decorated(way: Way, locks: Any, *words: Any, **options: Any) -> Any:
    """A function of the way, under a lock; it answers the keys that are held meanwhile."""

    async def held() -> list[str]:
        return [name async for name, seen in way.items(locks.list_all()) if seen.holders]

    if way.blocks:

        @locks.locked(*words, **options)
        def buy(item: Any, count: int = 1, *, of: str = "books") -> list[str]:
            """Buys."""
            return [name for name, seen in locks.list_all() if seen.holders]
    else:

        @locks.locked(*words, **options)
        async def buy(item: Any, count: int = 1, *, of: str = "books") -> list[str]:
            """Buys."""
            return await held()

    return buy


async def _call(way: Way, function: Any, *arguments: Any, **options: Any) -> Any:
    return await way.call(function, *arguments, **options)


async def test_the_key_is_made_of_the_arguments(way: Way) -> None:
    locks = await way.connect("memory:")
    buy = _decorated(way, locks, "stock:{of}:{item}:{count:03}", wait=10)
    assert await _call(way, buy, "a") == ["stock:books:a:001"]
    assert await _call(way, buy, count=7, item="b", of="pens") == ["stock:pens:b:007"]
    assert await way.call(locks.mutex("stock:books:a:001").held_by_anyone) is False
    of_parts = _decorated(way, locks, "{item.real}:{item.imag}")
    assert await _call(way, of_parts, 3) == ["3:0"]
    of_parts = _decorated(way, locks, "{item[name]}")
    assert await _call(way, of_parts, {"name": "x"}) == ["x"]


async def test_without_a_key_it_is_the_function_s_name(way: Way) -> None:
    locks = await way.connect("memory:")
    buy = _decorated(way, locks)
    name = f"{__name__}._decorated.<locals>.buy"
    assert await _call(way, buy, "a") == [name]
    plain = _decorated(way, locks, "one {{key}}")
    assert await _call(way, plain, "a") == ["one {key}"]


async def test_the_function_stays_what_it_is(way: Way) -> None:
    locks = await way.connect("memory:")
    buy = _decorated(way, locks, "stock")
    assert (buy.__name__, buy.__doc__) == ("buy", "Buys.")
    assert list(inspect.signature(buy).parameters) == ["item", "count", "of"]
    assert inspect.iscoroutinefunction(buy) is not way.blocks


async def test_callers_of_one_key_exclude_each_other(way: Way) -> None:
    locks = await way.connect("memory:")
    inside: list[int] = []

    def work() -> None:
        inside.append(1)
        assert len(inside) == 1
        inside.pop()

    if way.blocks:
        decorated = locks.locked("k", wait=60)(work)
    else:

        @locks.locked("k", wait=60)
        async def decorated() -> None:
            inside.append(1)
            assert len(inside) == 1
            await asyncio.sleep(0)
            inside.pop()

    await asyncio.gather(*(way.call(decorated) for _ in range(20)))


async def test_an_error_gives_the_lock_back(way: Way) -> None:
    locks = await way.connect("memory:")
    buy = _decorated(way, locks, "k:{item}", wait=0.01)
    guard = await way.call(locks.mutex("k:a").acquire)
    with pytest.raises(tenure.Busy):
        await _call(way, buy, "a")
    await way.call(guard.release)
    with pytest.raises(TypeError):
        await _call(way, buy)

    async def is_free() -> bool:
        return not await way.call(locks.mutex("k:a").held_by_anyone)

    await until(is_free)


async def test_each_way_decorates_the_other_s_functions() -> None:
    locks = tenure.connect("memory:")

    @locks.locked("waits")
    async def waits() -> bool:
        return await tenure.aio.Locks(locks._native).mutex("waits").held_by_anyone()

    @tenure.aio.Locks(locks._native).locked("blocks")
    def blocks() -> bool:
        return locks.mutex("blocks").held_by_anyone()

    assert await waits()
    assert blocks()


def test_what_cannot_be_decorated_is_refused() -> None:
    locks = tenure.connect("memory:")

    def generator() -> Any:
        yield

    async def async_generator() -> Any:
        yield

    for function in (generator, async_generator):
        with pytest.raises(tenure.Invalid, match="generator"):
            locks.locked("k")(function)
    for key in ("{nobody}", "{}", "{0}"):
        with pytest.raises(tenure.Invalid, match="no argument"):
            locks.locked(key)(lambda item: None)
    with pytest.raises(TypeError, match="unknown option"):
        locks.locked("k", time_to_live=3)(lambda: None)()  # type: ignore[call-arg]


async def coroutine(item: int = 0) -> int:
    return item


async def test_an_object_that_is_called_like_a_coroutine_function_runs_under_its_lock() -> None:
    locks = tenure.aio.connect("memory:")

    class Called:
        async def __call__(self) -> bool:
            return await locks.mutex("called").held_by_anyone()

    assert await locks.locked("called")(Called())()
    assert await locks.locked("called")(functools.partial(Called()))()


def test_work_that_has_only_begun_is_refused() -> None:
    locks = tenure.connect("memory:")
    with pytest.raises(tenure.Invalid, match="async def"):
        locks.locked("k")(lambda: coroutine())()
    with pytest.raises(tenure.Invalid, match="async def"):
        locks.mutex("k").run(lambda guard: coroutine())
    job = locks.once("job", every=3600)
    with pytest.raises(tenure.Invalid, match="async def"):
        job.run(lambda run: coroutine())
    last = job.last()
    assert last is not None and last.state == "failed"
    assert not locks.mutex("k").held_by_anyone()


@pytest.mark.parametrize("module", [tenure, tenure.aio])
def test_what_cannot_be_locked_is_refused_where_it_is_written(module: Any) -> None:
    locks = module.connect("memory:")
    with pytest.raises(tenure.Invalid, match="parentheses"):
        locks.locked(coroutine)
    with pytest.raises(tenure.Invalid, match="a key is a text"):
        locks.locked(5)
    with pytest.raises(tenure.Invalid, match="a brace itself is written twice"):
        locks.locked("x:{x")
    for wrapped in (property(coroutine), classmethod(coroutine), staticmethod(coroutine)):
        with pytest.raises(tenure.Invalid, match="below @property"):
            locks.locked("x")(wrapped)
    with pytest.raises(tenure.Invalid, match="name the key"):
        locks.locked()(functools.partial(coroutine, 5))
    with pytest.raises(tenure.Invalid, match="names 'x'"):
        locks.locked("p:{x}")(functools.partial(coroutine, 5))
    with pytest.raises(TypeError, match="tll"):
        locks.locked("x", tll=3)(coroutine)
    with pytest.raises(tenure.Invalid, match="cannot be"):
        locks.locked("x", wait=-1)(coroutine)
