"""How soon the first key frame of a camera is there after a join has been answered.

Run: python -m bench.first_frame [--starts 20]

The publisher encodes live (VP8 by the official SDK), so it answers a request for a key frame as browsers do. Goal:
0.5 s at most. Exit code 1 when it is missed on a quiet machine, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.machine import TOLERATED, Quiet, verdict

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.room.events import RoomEvent, SenderReportSeen, TrackPublished
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from pyegress.rtp.frame import EncodedFrame

ROOM, GOAL = "bench", 0.5
_PAUSE = 2.5


class FirstFrame:
    """A `TrackSink` that waits for the first key frame."""

    def __init__(self) -> None:
        self.came: asyncio.Future[Monotonic] = asyncio.get_running_loop().create_future()

    def on_stream(self, codec: Codec) -> None:
        pass

    def on_frame(self, frame: EncodedFrame) -> None:
        if frame.keyframe and not self.came.done():
            self.came.set_result(frame.arrival)

    def on_sender_report(self, report: SenderReportSeen) -> None:
        pass

    def on_ended(self) -> None:
        pass


async def start(server: LiveKitServer, number: int) -> float:
    """Join once; seconds from the answer to the first key frame."""
    options = RoomOptions(
        url=server.url, room=ROOM, api_key=server.api_key, api_secret=server.api_secret, identity=f"EG_{number}"
    )
    async with await Room.connect(options) as room:
        joined = monotonic()
        sink = FirstFrame()

        def published(event: RoomEvent) -> None:
            if isinstance(event, TrackPublished):
                room.subscribe(event.track.sid, sink)

        room.add_listener(published)
        for participant in room.participants.values():
            for sid in participant.tracks:
                room.subscribe(sid, sink)
        async with asyncio.timeout(10):
            return await sink.came - joined


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
    print(f"first key frame after {statistics.median(took):.3f} s (median), {min(took):.3f} to {max(took):.3f} s")
    print(verdict(foreign))
    if foreign > TOLERATED:
        return 75
    print("goal reached" if max(took) <= GOAL else f"goal missed: {GOAL} s")
    return max(took) > GOAL


if __name__ == "__main__":
    raise SystemExit(main())
