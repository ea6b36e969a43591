"""A TrackSink and a room listener that keep everything."""

from __future__ import annotations

from typing import TypeVar

from pyegress.codecs import Codec
from pyegress.room.events import RoomEvent, SenderReportSeen
from pyegress.rtp.frame import EncodedFrame
from tests.support.waiting import eventually

E = TypeVar("E", bound=RoomEvent)


class CollectingSink:
    """Keeps frames, stream beginnings (as the index of the first frame of each), sender reports and the end."""

    def __init__(self) -> None:
        self.frames: list[EncodedFrame] = []
        self.streams: list[tuple[Codec, int]] = []
        self.reports: list[SenderReportSeen] = []
        self.ends = 0

    @property
    def codecs(self) -> list[Codec]:
        return [codec for codec, _ in self.streams]

    def on_stream(self, codec: Codec) -> None:
        self.streams.append((codec, len(self.frames)))

    def on_frame(self, frame: EncodedFrame) -> None:
        assert self.ends == 0, "a frame after the end"
        assert self.streams, "a frame before its stream"
        assert self.streams[-1][0] is frame.codec
        self.frames.append(frame)

    def on_sender_report(self, report: SenderReportSeen) -> None:
        self.reports.append(report)

    def on_ended(self) -> None:
        self.ends += 1

    async def more_frames(self, count: int, within: float = 15.0) -> None:
        """Wait for so many frames more than now."""
        had = len(self.frames)
        await eventually(lambda: len(self.frames) >= had + count, f"{count} frames more than {had}", within)

    async def begun(self, streams: int, within: float = 15.0) -> None:
        """Wait for the beginning of so many streams since the first."""
        await eventually(lambda: len(self.streams) >= streams, f"stream {streams}", within)

    async def ended(self, within: float = 15.0) -> None:
        """Wait for the end of the track."""
        await eventually(lambda: self.ends == 1, "the end of the track", within)


class EventLog:
    """A listener that keeps all events of a room."""

    def __init__(self) -> None:
        self.events: list[RoomEvent] = []

    def __call__(self, event: RoomEvent) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type[E]) -> list[E]:
        """All events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    async def count(self, kind: type[RoomEvent], count: int = 1, within: float = 15.0) -> None:
        """Wait until `count` events of this type were seen since the beginning."""
        try:
            await eventually(lambda: len(self.of(kind)) >= count, f"{count} x {kind.__name__}", within)
        except AssertionError as error:
            raise AssertionError(f"{error}; seen: {', '.join(self.names)}") from None
