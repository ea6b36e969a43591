"""Who may begin when many egresses are started at once."""

from __future__ import annotations

import asyncio
import os

import pytest

from pyegress.clock import monotonic
from pyegress.service.worker import Worker
from pyegress.service.worker_pool import WorkerPool
from pyegress.service.zygote import Zygote
from tests.support.waiting import eventually

pytestmark = pytest.mark.unit


async def test_so_many_join_at_once_and_the_next_one_when_one_has(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(0, Zygote())
    made: list[object] = []

    async def ready() -> object:
        made.append(object())
        return made[-1]

    monkeypatch.setattr(pool, "_ready", ready)
    limit = os.cpu_count() or 1
    taking: list[asyncio.Task[Worker]] = [asyncio.create_task(pool.take()) for _ in range(limit + 2)]
    await eventually(lambda: len(made) == limit, "as many as there are cores")
    done, waiting = await asyncio.wait(taking, timeout=0.2)
    assert (len(done), len(waiting)) == (limit, 2)
    first = await done.pop()
    pool.joined(first)
    pool.joined(first)
    done, waiting = await asyncio.wait(waiting, timeout=5.0, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(waiting)) == (1, 1)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    await pool.aclose()


async def test_one_that_could_not_be_made_takes_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(0, Zygote())

    async def ready() -> object:
        raise OSError("no process")

    monkeypatch.setattr(pool, "_ready", ready)
    for _ in range(10 * (os.cpu_count() or 1)):
        with pytest.raises(OSError, match="no process"):
            await asyncio.wait_for(pool.take(), 5.0)
    await pool.aclose()


async def test_one_that_is_stopped_meanwhile_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(0, Zygote())
    stopped = asyncio.Event()
    ended: list[object] = []

    class Made:
        async def aclose(self) -> None:
            ended.append(self)

    async def ready() -> object:
        stopped.set()
        await asyncio.sleep(0)
        return Made()

    monkeypatch.setattr(pool, "_ready", ready)
    monkeypatch.setattr("pyegress.service.worker_pool._TURN", 600.0)
    limit = os.cpu_count() or 1
    for _ in range(limit):
        stopped.clear()
        assert await pool.take_unless(stopped) is None
    for _ in range(limit):
        await asyncio.wait_for(pool.take(), 20.0)
    assert len(ended) == limit
    await pool.aclose()


async def test_callers_are_answered_before_a_worker_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WorkerPool(0, Zygote())
    made: list[float] = []

    async def ready() -> object:
        made.append(monotonic())
        return object()

    monkeypatch.setattr(pool, "_ready", ready)
    monkeypatch.setattr("pyegress.service.worker_pool._WAY", 60.0)
    taking = asyncio.create_task(pool.take())
    for _ in range(8):  # answers of 50 ms each
        until = monotonic() + 0.05
        while monotonic() < until:
            pass
        await asyncio.sleep(0)
    answered = monotonic()
    await asyncio.wait_for(taking, 50.0)
    assert made[0] >= answered
    await pool.aclose()
