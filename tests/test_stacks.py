from __future__ import annotations

import asyncio

import pytest

from pyegress.stacks import tasks_text

pytestmark = pytest.mark.unit


async def test_tasks_and_threads_say_where_they_stand() -> None:
    secret = "hidden"

    async def inner(value: str) -> None:
        await asyncio.Event().wait()

    async def outer() -> None:
        await inner(secret)

    task = asyncio.create_task(outer(), name="waits for ever")
    await asyncio.sleep(0)
    try:
        text = tasks_text()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    mine = text.partition("task waits for ever\n")[2].partition("\ntask ")[0]
    assert mine.index(".outer") < mine.index(".inner") < mine.index("Event.wait")
    assert "thread MainThread" in text
    assert "hidden" not in text
