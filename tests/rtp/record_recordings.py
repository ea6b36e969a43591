"""Makes the recordings of `tests/data/rtp` anew: `python -m tests.rtp.record_recordings [name ...]`.

A real livekit-server forwards what the official SDK publishes; the packets are taken behind SRTP.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.demo.publishers import Content, DemoParticipant
from pyegress.demo.server import LiveKitServer
from pyegress.room.events import SenderReportSeen, Source
from pyegress.room.options import RoomOptions
from pyegress.room.room import Room
from pyegress.room.subscriber import Subscriber
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadKind
from tests.rtp.recordings import ExpectedFrame, Recording, digest
from tests.support.waiting import eventually

log = logging.getLogger(__name__)

MAX_OCTETS = 60_000
SMALL = (160, 96)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is published, for how long, and how it ends: the server then sends blank frames of its own."""

    content: str
    published: Content
    source: Source = Source.CAMERA
    frames: int = 45
    ending: Literal["", "mute", "unpublish"] = ""


def _clip(codec: Codec) -> Content:
    return Content(codec=codec, size=(320, 180), bitrate=250_000, encoded=True, gop=1, clip_seconds=4, phases=2)


SCENES = {
    "vp8": Scene("pre-encoded by libvpx", _clip(Codec.VP8)),
    "vp9": Scene("pre-encoded by libvpx", _clip(Codec.VP9)),
    "h264": Scene("pre-encoded by x264, baseline", _clip(Codec.H264)),
    "av1": Scene("pre-encoded by SVT-AV1", _clip(Codec.AV1)),
    "vp8_unpublished": Scene("pre-encoded, unpublished", _clip(Codec.VP8), frames=5, ending="unpublish"),
    "h264_unpublished": Scene("pre-encoded, unpublished", _clip(Codec.H264), frames=5, ending="unpublish"),
    "vp8_sdk": Scene("encoded by the SDK", Content(codec=Codec.VP8, size=SMALL)),
    "vp8_simulcast": Scene(
        "encoded by the SDK, one of two sizes",
        Content(codec=Codec.VP8, size=(640, 360), bitrate=300_000, simulcast=True),
    ),
    "h264_sdk": Scene("encoded by the SDK", Content(codec=Codec.H264, size=SMALL)),
    "vp9_l3t3_key": Scene(
        "encoded by the SDK, three spatial layers predicted from each other at key pictures only",
        Content(codec=Codec.VP9, size=(640, 360), bitrate=600_000, scalability="L3T3_KEY"),
    ),
    "vp9_l3t3": Scene(
        "encoded by the SDK, three spatial layers",
        Content(codec=Codec.VP9, size=(640, 360), bitrate=600_000, scalability="L3T3"),
    ),
    "av1_l3t3_key": Scene(
        "encoded by the SDK, three spatial layers",
        Content(codec=Codec.AV1, size=(640, 360), bitrate=600_000, scalability="L3T3_KEY"),
    ),
    "av1_sdk": Scene("encoded by the SDK", Content(codec=Codec.AV1, size=SMALL)),
    "opus": Scene("a beep", Content(red=False, dtx=False), Source.MICROPHONE, frames=60),
    "opus_red": Scene("a beep with redundancy", Content(red=True, dtx=False), Source.MICROPHONE, frames=60),
    "opus_muted": Scene("beeps, muted", Content(red=False), Source.MICROPHONE, frames=30, ending="mute"),
    "opus_dtx": Scene("beeps and pauses that are not sent", Content(red=False), Source.MICROPHONE, frames=60),
}


@dataclass(slots=True)
class Sink:
    """Frames as the room hands them out."""

    frames: list[EncodedFrame] = field(default_factory=list)

    def on_stream(self, codec: Codec) -> None: ...

    def on_frame(self, frame: EncodedFrame) -> None:
        self.frames.append(frame)

    def on_sender_report(self, report: SenderReportSeen) -> None: ...

    def on_ended(self) -> None: ...


async def record(server: LiveKitServer, name: str, scene: Scene) -> Recording:
    packets: dict[int, bytes] = {}
    original = Subscriber.on_rtp

    def tap(self: Subscriber, data: bytes, now: Monotonic) -> None:
        packets[len(packets)] = data
        original(self, data, now)

    Subscriber.on_rtp = tap  # type: ignore[method-assign]
    video = scene.source is Source.CAMERA
    try:
        async with DemoParticipant(
            server.url, server.token("p", name), "p", scene.published, video=video, audio=not video
        ) as participant:
            options = RoomOptions(url=server.url, room=name, api_key=server.api_key, api_secret=server.api_secret)
            async with await Room.connect(options) as room:
                sid = participant.sids[scene.source]
                await eventually(lambda: any(sid in p.tracks for p in room.participants.values()), "the track")
                sink = Sink()
                subscription = room.subscribe(sid, sink)
                await eventually(lambda: len(sink.frames) >= scene.frames, f"{scene.frames} frames of {name}", 30)
                stream = subscription.stream
                assert stream is not None
                if scene.ending == "mute":
                    participant.mute(scene.source)
                elif scene.ending == "unpublish":
                    await participant.unpublish(scene.source)
                seen = 0
                while scene.ending and seen != len(packets):
                    seen = len(packets)
                    await asyncio.sleep(1)
            submitted = {digest(scene.published.codec, one.data): one for one in participant.log(scene.source)}
    finally:
        Subscriber.on_rtp = original  # type: ignore[method-assign]
    red = next((number for number, one in stream.formats.items() if one.kind is PayloadKind.RED), None)
    codec = sink.frames[0].codec
    kept: dict[int, bytes] = {}
    for data in packets.values():
        packet = RtpPacket.parse(data)
        if packet.ssrc == stream.ssrc and packet.payload:
            kept.setdefault(packet.sequence, data)
    order = sorted(kept)
    assert order[-1] - order[0] < 32768, "the sequence numbers wrapped: record again"
    chosen: list[bytes] = []
    total = 0
    for number in order:
        total += len(kept[number]) + 2
        if total > MAX_OCTETS:
            break
        chosen.append(kept[number])
    whole = {RtpPacket.parse(data).timestamp for data in chosen}
    if len(chosen) < len(order):
        whole.discard(cut := RtpPacket.parse(kept[order[len(chosen)]]).timestamp)
        chosen = [data for data in chosen if RtpPacket.parse(data).timestamp != cut]
    frames = []
    if scene.published.encoded and video:
        for frame in sink.frames:
            if frame.timestamp & 0xFFFFFFFF in whole:
                entry = submitted[digest(codec, frame.payload)]
                frames.append(ExpectedFrame(frame.timestamp & 0xFFFFFFFF, entry.keyframe, digest(codec, entry.data)))
    if red is not None and not any(data[1] & 0x7F == red for data in chosen):
        red = None
    size = scene.published.size if video else None
    return Recording(name, codec, scene.content, size, red, tuple(chosen), tuple(frames))


async def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory, LiveKitServer(Path(directory)) as server:
        for name in wanted or SCENES:
            recording = await record(server, name, SCENES[name])
            recording.save()
            log.info(
                "%s: %d packets, %d octets, %d frames",
                name,
                len(recording.packets),
                sum(map(len, recording.packets)),
                len(recording.frames),
            )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(main(sys.argv[1:]))
