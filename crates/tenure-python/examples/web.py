"""A web service (FastAPI) whose handlers take a lock as a dependency. If somebody else has it the
answer is 409, if the store is away it is 503, and if the lock is lost half-way it is 503 as well.

    pip install fastapi uvicorn httpx
    TENURE_STORE=redis://HOST uvicorn web:app          # serves
    python web.py                                      # shows the answers, without a server

The second prints:

    200 {'order': 7, 'fenced': True}
    409 order:7 is being changed by somebody else
    503 the lock was lost; nothing was saved
    503 locks are not available
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import tenure.aio
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()
app.state.locks = tenure.aio.default_locks()


async def order_lock(order: int, request: Request) -> AsyncIterator[tenure.aio.Guard]:
    """The lock of the order in the path, held while the handler runs."""
    locks: tenure.aio.Locks = request.app.state.locks
    # A request waits for a moment, not in line.
    async with locks.mutex(f"order:{order}", ttl=10, wait=0.5) as guard:
        yield guard


OrderLock = Annotated[tenure.aio.Guard, Depends(order_lock)]


@app.post("/orders/{order}/pay")
async def pay(order: int, guard: OrderLock, slowly: bool = False) -> dict[str, object]:
    if slowly:
        await asyncio.sleep(60)  # cancelled if the lock is lost
    guard.check()  # right before something that cannot be undone
    return {"order": order, "fenced": guard.fence > 0}


@app.exception_handler(tenure.Busy)
async def busy(_request: Request, error: tenure.Busy) -> JSONResponse:
    headers = {"Retry-After": "1"}
    return JSONResponse(f"{error.key} is being changed by somebody else", 409, headers)


@app.exception_handler(tenure.StoreUnavailable)
async def away(_request: Request, _error: tenure.StoreUnavailable) -> JSONResponse:
    return JSONResponse("locks are not available", 503, {"Retry-After": "5"})


@app.exception_handler(tenure.LockLost)
async def lost(_request: Request, _error: tenure.LockLost) -> JSONResponse:
    return JSONResponse("the lock was lost; nothing was saved", 503, {"Retry-After": "1"})


async def main() -> None:
    import httpx
    from tenure.testing import World

    world = World()
    app.state.locks = world.aio
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:

        async def show(path: str) -> None:
            answer = await client.post(path, timeout=60)
            print(answer.status_code, answer.json())

        await show("/orders/7/pay")
        with world.busy("order:7"):
            await show("/orders/7/pay")
        slow = asyncio.create_task(show("/orders/8/pay?slowly=true"))
        while not slow.done():
            world.lose("order:8")
            await asyncio.sleep(0.01)
        world.fail()
        await show("/orders/7/pay")


if __name__ == "__main__":
    asyncio.run(main())
