"""Costs of reception: pyegress beside the official rtc SDK, both subscribed to the same room in the same run.

Run: python -m bench.receive [--participants 1,4,8,16] [--seconds 20]

Each participant publishes 640x360 VP8 at about 600 kbit/s (pre-encoded) and Opus. The SDK hands out decoded frames:
that is what it offers. Exit code 1 when a goal is missed on a quiet machine, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop
from bench.machine import Quiet, Usage, conclude, usage

from pyegress.clock import monotonic
from pyegress.codecs import Codec
from pyegress.room.events import SenderReportSeen, TrackPublished
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from pyegress.room.subscription import Subscription
from pyegress.rtp.frame import EncodedFrame

ROOM = "bench"
#: Goals: core per participant, share of the SDK's cost.
PER_PARTICIPANT, SHARE_OF_SDK = 0.006, 0.2
_PER_PROCESS = 4
_SETTLE = 6.0


class CountingSink:
    """Counts frames, keeps nothing."""

    def __init__(self) -> None:
        self.frames = 0

    def on_stream(self, codec: Codec) -> None:
        pass

    def on_frame(self, frame: EncodedFrame) -> None:
        self.frames += 1

    def on_sender_report(self, report: SenderReportSeen) -> None:
        pass

    def on_ended(self) -> None:
        pass


async def receive(server: dict[str, str]) -> None:
    """Subscribe to everything with pyegress; report packets and frames when standard input closes."""
    options = RoomOptions(
        url=server["url"], room=ROOM, api_key=server["api_key"], api_secret=server["api_secret"], identity="EG_bench"
    )
    async with await Room.connect(options) as room:
        subscriptions: list[Subscription] = []
        sinks: list[CountingSink] = []

        def take(sid: str) -> None:
            sinks.append(CountingSink())
            subscriptions.append(room.subscribe(sid, sinks[-1]))

        room.add_listener(lambda event: take(event.track.sid) if isinstance(event, TrackPublished) else None)
        for participant in list(room.participants.values()):
            for sid in participant.tracks:
                take(sid)
        print("ready", flush=True)
        for line in iter(lambda: asyncio.to_thread(sys.stdin.readline), None):
            if not await line:
                break
            packets = sum(subscription.stats.packets for subscription in subscriptions)
            lost = sum(subscription.stats.packets_lost for subscription in subscriptions)
            print(json.dumps({"packets": packets, "lost": lost, "frames": sum(s.frames for s in sinks)}), flush=True)


async def receive_with_sdk(server: dict[str, str]) -> None:
    """Subscribe to everything with the official SDK and take its frames."""
    from livekit import rtc

    room = rtc.Room()
    tasks: set[asyncio.Task[None]] = set()
    frames = 0

    async def drain(stream: rtc.VideoStream | rtc.AudioStream) -> None:
        nonlocal frames
        async for _ in stream:
            frames += 1

    def subscribed(track: rtc.Track, *_: object) -> None:
        kind = rtc.VideoStream if track.kind == rtc.TrackKind.KIND_VIDEO else rtc.AudioStream
        tasks.add(asyncio.create_task(drain(kind(track))))

    room.on("track_subscribed", subscribed)
    await room.connect(server["url"], server["token"], rtc.RoomOptions(auto_subscribe=True))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"packets": 0, "lost": 0, "frames": frames}), flush=True)
    await room.disconnect()


class Role:
    """One process of the bench."""

    def __init__(self, name: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "bench.receive", "--role", name, *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ready(self) -> None:
        """Wait until it says so."""
        if self._line() != "ready\n":
            raise RuntimeError(f"{self._process.args!r} did not become ready (exit code {self._process.poll()})")

    def counts(self) -> dict[str, int]:
        """What it has received so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._line())
        return answer

    @property
    def usage(self) -> Usage:
        return usage(self._process.pid)

    def __enter__(self) -> Role:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) and not line.startswith(("ready", "{")):
            pass
        return line


def measure(participants: int, seconds: float, bitrate: int) -> dict[str, float]:
    """One room with so many participants. Core-seconds per second, packets per second, MB."""
    # Imported late, here and above: the receiver's memory is to be that of a receiver.
    from pyegress.demo.cast import Cast, Person
    from pyegress.demo.publishers import Content
    from pyegress.demo.server import LiveKitServer

    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(directory))
        access = {"url": server.url, "api_key": server.api_key, "api_secret": server.api_secret}
        for first in range(0, participants, _PER_PROCESS):
            people = []
            for index in range(first, min(first + _PER_PROCESS, participants)):
                content = Content(participant=index, encoded=True, bitrate=bitrate, dtx=False)
                people.append(Person(f"p{index}", server.token(f"p{index}", ROOM), content))
            stack.enter_context(Cast(server.url, people))
        ours = stack.enter_context(Role("receive", "--server", json.dumps(access)))
        access["token"] = server.token("sdk", ROOM, publish=False)
        sdk = stack.enter_context(Role("sdk", "--server", json.dumps(access)))
        ours.ready()
        sdk.ready()
        _sleep(_SETTLE)
        quiet = Quiet()
        started = monotonic()
        before, before_sdk, counts = ours.usage, sdk.usage, ours.counts()
        _sleep(seconds)
        after, after_sdk, counted = ours.usage, sdk.usage, ours.counts()
        elapsed = monotonic() - started
        return {
            "participants": participants,
            "core": (after.cpu - before.cpu) / elapsed,
            "sdk": (after_sdk.cpu - before_sdk.cpu) / elapsed,
            "packets": (counted["packets"] - counts["packets"]) / elapsed,
            "frames": (counted["frames"] - counts["frames"]) / elapsed,
            "lost": counted["lost"],
            "rss": after.rss,
            "pss": after.pss,
            "threads": after.threads,
            "sdk_rss": after_sdk.rss,
            "foreign": quiet.foreign(),
        }


def _sleep(seconds: float) -> None:
    asyncio.run(asyncio.sleep(seconds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", default="1,4,8,16")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--bitrate", type=int, default=600_000)
    for internal in ("--role", "--server"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    options = parser.parse_args()
    match options.role:
        case "receive":
            return uvloop.run(receive(json.loads(options.server))) or 0
        case "sdk":
            return asyncio.run(receive_with_sdk(json.loads(options.server))) or 0
    print(
        f"{'people':>6} {'core':>7} {'/person':>8} {'SDK core':>9} {'ratio':>6} {'packets/s':>9} {'frames/s':>8} "
        f"{'lost':>5} {'RSS MB':>7} {'PSS MB':>7} {'threads':>7} {'SDK RSS':>8}"
    )
    missed, foreign = [], 0.0
    for participants in (int(count) for count in options.participants.split(",")):
        row = measure(participants, options.seconds, options.bitrate)
        each, ratio = row["core"] / participants, row["core"] / row["sdk"]
        print(
            f"{participants:>6} {row['core']:>7.4f} {each:>8.4f} {row['sdk']:>9.3f} {ratio:>6.3f} "
            f"{row['packets']:>9.0f} {row['frames']:>8.0f} {row['lost']:>5.0f} {row['rss']:>7.1f} {row['pss']:>7.1f} "
            f"{row['threads']:>7.0f} {row['sdk_rss']:>8.1f}",
            flush=True,
        )
        foreign = max(foreign, row["foreign"])
        if each > PER_PARTICIPANT:
            missed.append(f"{participants}: {each:.4f} core per participant, goal {PER_PARTICIPANT}")
        if ratio > SHARE_OF_SDK:
            missed.append(f"{participants}: {ratio:.2f} of the SDK's cost, goal {SHARE_OF_SDK}")
    return conclude(missed, foreign)


if __name__ == "__main__":
    raise SystemExit(main())
