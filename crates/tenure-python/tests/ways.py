"""The two ways to call Tenure behind one face, so that one test is run by both: ``tenure`` by
threads, ``tenure.aio`` by a loop of asyncio or uvloop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from threading import Thread
from typing import Any

import tenure
import tenure.aio

NAMES = ["threads", "asyncio", "uvloop"]
# Seconds; far beyond what a busy machine needs.
PATIENCE = 60


async def in_thread(verb: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Calls a verb that blocks, in a thread that holds up no end of the tests."""
    ended: Future[Any] = Future()
    # It cannot be cancelled any more.
    ended.set_running_or_notify_cancel()

    def work() -> None:
        try:
            answer = verb(*arguments, **options)
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(answer)

    Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(ended)


async def until(is_so: Callable[[], Awaitable[Any] | Any]) -> Any:
    """Waits for a condition, and answers what it answered."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = is_so()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {PATIENCE} s: {is_so}"
        await asyncio.sleep(0.005)


class Way:
    """One way to call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocks = name == "threads"
        self.module: Any = tenure if self.blocks else tenure.aio

    async def call(self, verb: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls a verb and waits for its answer. A call that blocks has a thread."""
        if self.blocks:
            return await in_thread(verb, *arguments, **options)
        return await verb(*arguments, **options)

    async def waiters(self, lock: Any) -> Any:
        """Those who wait for a lock of one key."""
        return (await self.call(lock.inspect)).waiters

    async def connect(self, url: str, **options: Any) -> Any:
        """The locks of a store."""
        if self.blocks:
            return await in_thread(tenure.connect, url, **options)
        return tenure.aio.connect(url, **options)

    @asynccontextmanager
    async def scope(self, lock: Any) -> AsyncIterator[Any]:
        """``with lock`` or ``async with lock``."""
        if self.blocks:
            with lock as guard:
                yield guard
        else:
            async with lock as guard:
                yield guard

    async def items(self, stream: Any) -> AsyncIterator[Any]:
        """What ``for item in stream`` or ``async for item in stream`` gives."""
        if not self.blocks:
            async for item in stream:
                yield item
            return
        over = object()
        while (item := await in_thread(next, stream, over)) is not over:
            yield item

    def work(self, function: Callable[..., Any]) -> Any:
        """A function as `run` takes it."""
        if self.blocks:
            return function

        async def waited_for(*arguments: Any) -> Any:
            return function(*arguments)

        return waited_for
