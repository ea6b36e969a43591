"""What a stop finds while a room is being joined."""

from __future__ import annotations

import asyncio

import pytest

from pyegress.errors import NotFound
from pyegress.room.room import Room
from pyegress.worker import joining
from pyegress.worker.joining import join_unless
from pyegress.worker.terms import terms_of
from tests.worker.encoding_plans import room_plan

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("no_tasks_left")]

TERMS = terms_of(room_plan())


class Joined:
    """What is left of a `Room` here: whether it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class Join:
    """Stands in for `join_room`: takes until `done`, and for a while does not care that nobody waits any more."""

    def __init__(self, *, stubborn: bool = False, error: Exception | None = None) -> None:
        self.room = Joined()
        self.done = asyncio.Event()
        self._stubborn, self._error = stubborn, error

    async def __call__(self, terms: object, *, on_waiting: object, seam: object = None) -> Joined:
        try:
            await self.done.wait()
        except asyncio.CancelledError:
            if not self._stubborn:
                raise
        if self._error is not None:
            raise self._error
        return self.room


async def begin(monkeypatch: pytest.MonkeyPatch, join: Join) -> tuple[asyncio.Task[Room | str], asyncio.Future[str]]:
    monkeypatch.setattr(joining, "join_room", join)
    stop: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def stopped() -> str:
        return await stop

    task = asyncio.create_task(join_unless(stopped(), TERMS, on_waiting=lambda what: None))
    await asyncio.sleep(0)
    return task, stop


async def test_the_room_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    join = Join()
    task, stop = await begin(monkeypatch, join)
    join.done.set()
    assert await task is join.room  # type: ignore[comparison-overlap]
    assert join.room.closed == 0
    assert stop.cancelled()


async def test_the_stop_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    task, stop = await begin(monkeypatch, Join())
    stop.set_result("enough")
    assert await task == "enough"


async def test_a_room_that_is_joined_in_spite_of_the_stop_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    join = Join(stubborn=True)
    task, stop = await begin(monkeypatch, join)
    stop.set_result("enough")
    assert await task == "enough"
    assert join.room.closed == 1


async def test_both_at_once_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    join = Join()
    task, stop = await begin(monkeypatch, join)
    join.done.set()
    stop.set_result("enough")
    assert await task == "enough"
    assert join.room.closed == 1


async def test_a_room_that_cannot_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    join = Join(error=NotFound("no such room"))
    task, stop = await begin(monkeypatch, join)
    join.done.set()
    with pytest.raises(NotFound, match="no such room"):
        await task
    assert stop.cancelled()


async def test_whoever_waits_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    join = Join(stubborn=True)
    task, stop = await begin(monkeypatch, join)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stop.cancelled()
    assert join.room.closed == 1
