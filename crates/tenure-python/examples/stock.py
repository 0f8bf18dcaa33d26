"""Fifty buyers at once, twenty pieces: none is sold twice, none is left over.

    python stock.py

It prints:

    50 buyers, 20 pieces
    20 bought one, 30 found it sold out
    0 pieces are left
"""

from __future__ import annotations

import asyncio

import tenure


class Shelf:
    """Stands for a table of another service: reading and writing are two trips to it."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    async def read(self) -> int:
        await asyncio.sleep(0.001)
        return self.pieces

    async def write(self, pieces: int) -> None:
        await asyncio.sleep(0.001)
        self.pieces = pieces


@tenure.locked("stock:{item}", wait=30)
async def buy(shelf: Shelf, item: str) -> bool:
    """Between its reading and its writing nobody else may sell, on this host or another."""
    left = await shelf.read()
    if left == 0:
        return False
    await shelf.write(left - 1)
    return True


async def main() -> None:
    shelf = Shelf(20)
    print(f"50 buyers, {await shelf.read()} pieces")
    bought = sum(await asyncio.gather(*[buy(shelf, "lamp") for _ in range(50)]))
    print(f"{bought} bought one, {50 - bought} found it sold out")
    print(f"{await shelf.read()} pieces are left")


if __name__ == "__main__":
    asyncio.run(main())
