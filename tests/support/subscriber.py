"""A subscriber made of the official rtc SDK: what participants publish, decoded by somebody else's code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from livekit import rtc

from pyegress.clock import monotonic
from pyegress.demo.server import LiveKitServer
from pyegress.demo.stamp import read_stamp
from tests.support.analysis import Picture


class SdkSubscriber:
    """Subscribes to everything in a room and reads the stamps of all video.

    `pictures` and `codecs` (mime types of the camera's publications, in order) are by identity.
    """

    def __init__(self, server: LiveKitServer, room: str, identity: str = "sdk-subscriber") -> None:
        self.pictures: dict[str, list[Picture]] = {}
        self.codecs: dict[str, list[str]] = {}
        self._server, self._name, self._identity = server, room, identity
        self._room: Any = rtc.Room()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._room.on("track_subscribed", self._on_track)
        token = self._server.token(self._identity, self._name, publish=False)
        await self._room.connect(self._server.url, token)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._room.disconnect()

    def numbers(self, identity: str) -> list[int]:
        """Frame numbers seen so far."""
        return [p.number for p in self.pictures.get(identity, []) if p.number is not None]

    async def wait_for(self, what: str, condition: Callable[[], bool], timeout: float = 15.0) -> None:
        """Wait until `condition`, looked at after each picture, holds."""
        deadline = monotonic() + timeout
        while not condition():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - monotonic())
            except TimeoutError:
                seen = {who: (len(p), p[-1] if p else None) for who, p in self.pictures.items()}
                raise AssertionError(f"no {what} within {timeout:g} s; seen: {seen}") from None

    def _on_track(self, track: Any, publication: Any, participant: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            self.codecs.setdefault(participant.identity, []).append(publication.mime_type)
            self._tasks.append(asyncio.create_task(self._watch(track, participant.identity)))

    async def _watch(self, track: Any, identity: str) -> None:
        stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                frame = event.frame
                size = (frame.width, frame.height)
                luma = np.frombuffer(frame.data, np.uint8)[: size[0] * size[1]].reshape(size[1], size[0])
                stamp = read_stamp(luma)
                number, participant = (stamp.number, stamp.participant) if stamp else (None, None)
                picture = Picture(monotonic(), number, participant, size, lit=False)
                self.pictures.setdefault(identity, []).append(picture)
                self._changed.set()
        finally:
            await stream.aclose()
