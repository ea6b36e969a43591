"""Room events for several consumers."""

from __future__ import annotations

import asyncio

import pytest

from pyegress.clock import Monotonic
from pyegress.room.events import Reconnecting, RoomEvent
from pyegress.room.feed import EventFeed

pytestmark = pytest.mark.unit


def event(number: int) -> RoomEvent:
    return Reconnecting(Monotonic(number), False, "")


async def test_each_stream_sees_what_comes_after_its_beginning() -> None:
    feed = EventFeed()
    feed.emit(event(0))
    early = feed.stream()
    feed.emit(event(1))
    late = feed.stream()
    feed.emit(event(2))
    feed.end()
    assert [float(e.at) async for e in early] == [1, 2]
    assert [float(e.at) async for e in late] == [2]
    assert [float(e.at) async for e in feed.stream()] == []
    assert [float(e.at) async for e in early] == [], "an ended stream stays ended"


async def test_a_listener_that_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    feed, seen = EventFeed(), list[RoomEvent]()

    def bad(_: RoomEvent) -> None:
        raise ValueError("bad listener")

    feed.add_listener(bad)
    remove = feed.add_listener(seen.append)
    feed.emit(event(1))
    remove()
    remove()
    feed.emit(event(2))
    assert [float(e.at) for e in seen] == [1]
    assert "bad listener" in caplog.text


async def test_closing_a_stream_releases_who_waits() -> None:
    feed = EventFeed()
    stream = feed.stream()
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    stream.close()
    assert await waiting is None
    feed.emit(event(1))
    assert [e async for e in stream] == []
