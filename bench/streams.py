"""What live destinations cost: packets of an encoder, 720p30 at 3 Mbit/s and AAC, to real servers; without the encoder.

Run: python -m bench.streams [--seconds 15] [--only rtmp,srt]

The packets of two seconds are encoded once and repeated in real time; what is measured is this process: packing,
sending, watching. Exit code 1 when a further destination costs more than 3 % of a core on a quiet machine, 75 when the
machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench.machine import Quiet, conclude
from tests.support.rtmp_server import RtmpServer
from tests.support.srt_listener import SrtListener

from pyegress.clock import monotonic
from pyegress.codecs import Kind
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.video_encoder import VideoEncoder
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.rtmp.publisher import RtmpPublisher
from pyegress.outputs.srt.publisher import SrtPublisher
from pyegress.outputs.streaming.group import Publisher, StreamGroup
from pyegress.plan.encodings import AudioCodec, AudioEncoding, EncodingWish, VideoCodec, video_encoding
from pyegress.plan.stream_urls import destination
from pyegress.rtp.frame import EncodedFrame

#: Core that each destination beside the first may cost.
GOAL = 0.03
COUNTS = (1, 5, 10)
_LOOP = 2.0
VIDEO = video_encoding(
    VideoCodec.H264, EncodingWish(key_frame_interval=2.0), rtmp_or_srt=True, rtmp=True, segments=False
)
AUDIO = AudioEncoding(AudioCodec.AAC, 128, 48_000)


class Content:
    """Two seconds of packets, as the encoders' threads give them, and what they are described by."""

    def __init__(self) -> None:
        import av

        random = np.random.default_rng(1)
        encoder = VideoEncoder(VIDEO, low_latency=True)
        self.packets: list[tuple[Kind, float, EncodedFrame]] = []
        noise = random.integers(16, 235, (VIDEO.height * 3 // 2, VIDEO.width), np.uint8)
        for tick in range(round(_LOOP * VIDEO.framerate)):
            image = np.roll(noise // 8 * 4 + 60, 4 * tick, axis=1)
            image[:64] = random.integers(16, 235, (64, VIDEO.width), np.uint8)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "yuv420p")
            self._add(Kind.VIDEO, encoder.encode(picture, tick), 90_000)
        self.sound = AudioEncoder(AUDIO)
        for _ in range(round(_LOOP * 50)):
            self._add(Kind.AUDIO, self.sound.encode(random.random((960, 2), dtype=np.float32)), AUDIO.sample_rate)
        self.packets.sort(key=lambda packet: packet[1])
        size = sum(len(packet.payload) for _, _, packet in self.packets)
        self.bitrate = size * 8 / _LOOP

    def _add(self, kind: Kind, packets: list[EncodedFrame], rate: int) -> None:
        self.packets += [(kind, packet.timestamp / rate, packet) for packet in packets]

    def spec_for(self, first: EncodedFrame) -> StreamSpec:
        return video_stream(VIDEO, first) if first.codec.kind is Kind.VIDEO else audio_stream(self.sound)


def rtmp(stack: ExitStack, folder: Path, count: int) -> list[str]:
    server = stack.enter_context(RtmpServer(folder / f"rtmp-{count}"))
    return [server.url(f"key{number}") for number in range(count)]


def srt(stack: ExitStack, folder: Path, count: int) -> list[str]:
    return [stack.enter_context(SrtListener(folder / f"srt-{count}-{number}")).url for number in range(count)]


SERVERS: dict[str, Callable[[ExitStack, Path, int], list[str]]] = {"rtmp": rtmp, "srt": srt}


def publisher(name: str, content: Content) -> Publisher:
    if name == "rtmp":
        return RtmpPublisher(frozenset(Kind), VIDEO, AUDIO, content.spec_for)
    return SrtPublisher(frozenset(Kind), content.spec_for)


async def stream(name: str, urls: list[str], content: Content, seconds: float) -> float:
    """Core that streaming to all of them takes."""
    failed: list[object] = []
    group = StreamGroup(
        frozenset(Kind),
        publisher(name, content),
        window=0.0,
        want_start=lambda: None,
        on_failed=failed.append,
        on_empty=lambda error: None,
    )
    for url in urls:
        group.add(destination(url))
    begun, before = float(monotonic()), 0.0
    at = measured = 0.0
    while at < seconds:
        if at >= _LOOP and not before:
            begun, before = monotonic() - at, _cpu()
            measured = at
        for kind, second, packet in content.packets:
            wait = begun + at + second - monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            shift = round(at * (90_000 if kind is Kind.VIDEO else AUDIO.sample_rate))
            group.packet(kind, replace(packet, timestamp=packet.timestamp + shift))
        at += _LOOP
    used = (_cpu() - before) / (at - measured)
    await group.finish()
    if failed:
        raise RuntimeError(str(failed[0]))
    return used


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--only", default=",".join(SERVERS))
    options = parser.parse_args()
    import uvloop

    content = Content()
    print(f"{content.bitrate / 1e6:.1f} Mbit/s")
    print(f"{'':<6}" + "".join(f"{count:>5} dest." for count in COUNTS) + f"{'each more':>11} {'goal':>6}")
    missed: list[str] = []
    quiet = Quiet()
    for name in options.only.split(","):
        cores = []
        for count in COUNTS:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                urls = SERVERS[name](stack, folder, count)
                cores.append(uvloop.run(stream(name, urls, content, options.seconds)))
        more = (cores[-1] - cores[0]) / (COUNTS[-1] - COUNTS[0])
        if more > GOAL:
            missed.append(f"{name}: {more:.3f} core for each further destination")
        print(f"{name:<6}" + "".join(f"{core:>11.4f}" for core in cores) + f"{more:>11.4f} {GOAL:>6.2f}")
    return conclude(missed, quiet.foreign(), lenient=True)


if __name__ == "__main__":
    raise SystemExit(main())
