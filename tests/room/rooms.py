"""Joining the real server in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pyegress.demo.publishers import Content, DemoParticipant
from pyegress.room.events import Source
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from tests.support.collecting_sink import CollectingSink
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually


def options(server: LiveKitServer, room: str, **changes: Any) -> RoomOptions:
    """Options for a room of this server."""
    credentials = {"api_key": server.api_key, "api_secret": server.api_secret}
    arguments: dict[str, Any] = {"url": server.url, "room": room, **credentials}
    return RoomOptions(**(arguments | changes))


@asynccontextmanager
async def publisher(
    server: LiveKitServer, room: str, identity: str = "ada", content: Content | None = None, **tracks: bool
) -> AsyncIterator[DemoParticipant]:
    """A participant who publishes, by default pre-encoded VP8 and sound."""
    content = content or Content(encoded=True, size=(320, 180), participant=3, clip_seconds=4)
    async with DemoParticipant(server.url, server.token(identity, room), identity, content, **tracks) as participant:
        yield participant


async def subscribe_all(room: Room, identity: str = "ada", tracks: int = 2) -> dict[Source, CollectingSink]:
    """Wait for so many tracks of a participant and subscribe to all of them."""
    await eventually(
        lambda: identity in room.participants and len(room.participants[identity].tracks) >= tracks,
        f"{tracks} tracks of {identity}",
        within=40,
    )
    sinks: dict[Source, CollectingSink] = {}
    for track in room.participants[identity].tracks.values():
        sinks[track.source] = CollectingSink()
        room.subscribe(track.sid, sinks[track.source])
    return sinks


class Gate:
    """A datagram seam that lets everything or nothing pass."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open

    def inbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        if self.is_open:
            deliver(data)

    outbound = inbound
