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


def check_published(participant: DemoParticipant, sink: CollectingSink) -> None:
    """Check that a camera's frames are published ones in their order.

    The SDK drops what was submitted between a request for a key frame and the source's jump to one, and what it has no
    time for: a gap is right only where a key frame follows it.
    """
    submitted = [frame.data for frame in participant.log() if frame.accepted]
    assert sink.frames, "nothing was received"
    place = -1
    for index, frame in enumerate(sink.frames):
        if submitted[place + 1 : place + 2] == [frame.payload]:
            place += 1
            continue
        assert frame.keyframe, f"frame {index} does not follow the one before"
        assert frame.payload in submitted[place + 1 :], f"frame {index} was not published"
        place = submitted.index(frame.payload, place + 1)


def missing_beside(control: CollectingSink, sink: CollectingSink) -> int:
    """Check that one sink got what another sink of the same track got, as far as both reach.

    Returns how many frames the control has after the last common one. A clip repeats itself, so that one frame does
    not tell the place: the longest agreement counts.
    """
    ours, theirs = ([frame.payload for frame in one.frames] for one in (sink, control))
    while ours and ours[0] not in theirs:
        ours.pop(0)  # before the control began
    assert ours, "both have nothing in common"
    starts = [index for index, payload in enumerate(theirs) if payload == ours[0]]
    agreeing = {start: _agreeing(theirs[start:], ours) for start in starts}
    start = max(agreeing, key=lambda start: agreeing[start])
    common = agreeing[start]
    assert common in (len(ours), len(theirs) - start), f"frame {common} of {len(ours)} is not what the control got"
    return len(theirs) - start - common


def _agreeing(one: list[bytes], other: list[bytes]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (first, second) in pairs if first != second), min(len(one), len(other)))


class Gate:
    """A datagram seam that lets everything or nothing pass."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open

    def inbound(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        if self.is_open:
            deliver(data)

    outbound = inbound
