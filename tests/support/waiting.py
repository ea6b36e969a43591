"""Wait for what must become true, and say what was missing when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_INTERVAL = 0.005


async def eventually(check: Callable[[], object], what: str, within: float = 10.0) -> None:
    """Returns when `check()` is true; fails the test with `what` after `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    for _ in range(round(within / _INTERVAL) + 1):
        if check():
            return
        if loop.time() > deadline:
            break
        await asyncio.sleep(_INTERVAL)
    raise AssertionError(f"not within {within:g} s: {what}")
