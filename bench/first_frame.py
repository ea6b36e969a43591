"""How soon the first key frame of a camera is there after a join has been answered, and the first of a live output.

Run: python -m bench.first_frame [--starts 20]

The publisher encodes live (VP8 by the official SDK), so it answers a request for a key frame as browsers do. Goals:
0.5 s at most until it is received, 1 s until a live output gives its own first one. Exit code 1 when one is missed on
a quiet machine, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.machine import Quiet, conclude

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec, Kind
from pyegress.demo.cast import Cast, Person
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.layouts.geometry import Size
from pyegress.media.director import CandidateChanged, SingleDirector
from pyegress.media.engine import MediaEngine
from pyegress.media.engine_messages import Begin, Frame, Report
from pyegress.plan.encodings import EncodingWish, VideoCodec, video_encoding
from pyegress.room.events import RoomEvent, SenderReportSeen, TrackPublished
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from pyegress.rtp.frame import EncodedFrame

ROOM = "bench"
RECEIVED, GIVEN = 0.5, 1.0
_PAUSE = 2.5


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the answered join until the first key frame was received, and until the output gave one."""

    received: float
    given: float


class LiveOutput:
    """A `TrackSink` that composes what comes of one track, as for somebody who watches."""

    def __init__(self, sid: str) -> None:
        loop = asyncio.get_running_loop()
        self.received: asyncio.Future[Monotonic] = loop.create_future()
        self.given: asyncio.Future[Monotonic] = loop.create_future()
        self._sid = sid
        encoding = video_encoding(VideoCodec.H264, EncodingWish(), rtmp_or_srt=True, rtmp=True)
        director = SingleDirector(Size(encoding.width, encoding.height))
        director.change(Monotonic(0.0), CandidateChanged(sid, "p0", 0))

        def packet(kind: Kind, frame: EncodedFrame) -> None:
            loop.call_soon_threadsafe(_first, self.given, monotonic())

        self.engine = MediaEngine(
            video=encoding, audio=None, director=director, live=True, on_packet=packet, on_failed=print
        )

    def on_stream(self, codec: Codec) -> None:
        self.engine.post(Begin(self._sid, "p0", codec))

    def on_frame(self, frame: EncodedFrame) -> None:
        if frame.keyframe:
            _first(self.received, frame.arrival)
        self.engine.post(Frame(self._sid, frame))

    def on_sender_report(self, report: SenderReportSeen) -> None:
        self.engine.post(Report(self._sid, report.sender_time, report.timestamp, report.arrival))

    def on_ended(self) -> None:
        pass


def _first(future: asyncio.Future[Monotonic], at: Monotonic) -> None:
    if not future.done():
        future.set_result(at)


async def start(server: LiveKitServer, number: int) -> Start:
    """Join once."""
    options = RoomOptions(
        url=server.url, room=ROOM, api_key=server.api_key, api_secret=server.api_secret, identity=f"EG_{number}"
    )
    async with await Room.connect(options) as room:
        joined = monotonic()
        outputs: asyncio.Queue[LiveOutput] = asyncio.Queue()

        def subscribe(sid: str) -> None:
            output = LiveOutput(sid)
            room.subscribe(sid, output)
            outputs.put_nowait(output)

        def published(event: RoomEvent) -> None:
            if isinstance(event, TrackPublished):
                subscribe(event.track.sid)

        room.add_listener(published)
        for participant in room.participants.values():
            for sid in participant.tracks:
                subscribe(sid)
        async with asyncio.timeout(10):
            output = await outputs.get()
            took = Start(await output.received - joined, await output.given - joined)
        await asyncio.wrap_future(output.engine.finish(None))
        return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=20)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder))
        stack.enter_context(Cast(server.url, [Person("p0", server.token("p0", ROOM), Content(), audio=False)]))
        # A track is announced with its first packets.
        asyncio.run(start(server, 0))
        quiet = Quiet()
        took = []
        for number in range(1, options.starts + 1):
            # The server asks a publisher for a key frame at most once a second.
            asyncio.run(asyncio.sleep(_PAUSE))
            took.append(asyncio.run(start(server, number)))
        foreign = quiet.foreign()
    missed = []
    for what, goal, seconds in (
        ("first key frame received", RECEIVED, [one.received for one in took]),
        ("first key frame of a live output", GIVEN, [one.given for one in took]),
    ):
        print(f"{what}: {statistics.median(seconds):.3f} s (median), {min(seconds):.3f} to {max(seconds):.3f} s")
        if max(seconds) > goal:
            missed.append(f"{what}: {max(seconds):.3f} s, goal {goal} s")
    return conclude(missed, foreign)


if __name__ == "__main__":
    raise SystemExit(main())
