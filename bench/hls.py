"""HLS over a long time, faster than real time: memory, CPU, and whether every playlist and segment is right.

    python -m bench.hls [--minutes 30] [--duration 1] [--format ts|fmp4] [--part 0.2]

Ten seconds of pictures and sound are encoded once and repeated. Each segment is read by FFmpeg when it is delivered,
and removed when ten more are there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from bench.machine import usage

from pyegress.clock import Wall, wall
from pyegress.demo.content import DemoPicture
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.video_encoder import VideoEncoder
from pyegress.outputs.encoded_streams import audio_stream, video_stream
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.encodings import AudioCodec, AudioEncoding, H264Profile, VideoCodec, VideoEncoding
from pyegress.plan.output_names import SegmentNames
from pyegress.plan.recording_plan import NameSuffix, SegmentFormat, SegmentOutput
from pyegress.plan.storage import LocalStorage
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivered, InPlace, ObjectKind
from pyegress.worker.output_sink import Source
from pyegress.worker.segment_sink import SegmentSink

FPS, LOOP = 30, 10
SIZE = (1280, 720)
KEPT = 10
#: Growth between a sixth of the time and the end that is still called constant, MB.
CONSTANT = 8.0


class Checking(InPlace):
    """Reads each segment and keeps the newest ones."""

    def __init__(self, directory: str, frames: int, header: Path | None) -> None:
        super().__init__(directory)
        self.frames = frames
        self.header = header
        self.segments = 0
        self.seconds = 0.0
        self.wrong: list[str] = []
        self._more = asyncio.Event()
        self._kept: deque[Path] = deque()
        self._next: float | None = None

    async def reached(self, segments: int) -> None:
        """Until so many segments are there."""
        await asyncio.sleep(0)
        while self.segments < segments:
            self._more.clear()
            await self._more.wait()

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        if kind is ObjectKind.SEGMENT and path != self.header:
            began = time.process_time()
            self._check(path)
            self._more.set()
            self.seconds += time.process_time() - began
            self._kept.append(path)
        delivered = super().deliver(path, kind)
        if len(self._kept) > KEPT:
            self._kept.popleft().unlink()
        return delivered

    def _check(self, path: Path) -> None:
        self.segments += 1
        whole = path
        if self.header is not None:
            whole = path.with_suffix(".whole")
            whole.write_bytes(self.header.read_bytes() + path.read_bytes())
        with av.open(str(whole)) as container:
            packets = [
                (float(p.pts * p.time_base), p.is_keyframe) for p in container.demux(video=0) if p.pts is not None
            ]
        if self.header is not None:
            whole.unlink()
        if len(packets) != self.frames or not packets[0][1]:
            self.wrong.append(f"{path.name}: {len(packets)} pictures")
        if self._next is not None and abs(packets[0][0] - self._next) > 0.001:
            self.wrong.append(f"{path.name} begins at {packets[0][0]:.3f}, not {self._next:.3f}")
        self._next = packets[-1][0] + 1 / FPS


def encoded(duration: int) -> list[tuple[StreamSpec, list[EncodedFrame]]]:
    """The loop: pictures and sound."""
    encoding = VideoEncoding(
        VideoCodec.H264, *SIZE, FPS, 3000, H264Profile.MAIN, key_frame_interval=float(duration), scene_cuts=False
    )
    encoder, speaker = VideoEncoder(encoding), AudioEncoder(AudioEncoding(AudioCodec.AAC, 128, 48_000))
    drawn = DemoPicture("hls", 1, size=SIZE, fps=FPS)
    film: list[EncodedFrame] = []
    for tick in range(LOOP * FPS):
        film += encoder.encode(av.VideoFrame.from_ndarray(drawn.draw(tick), "yuv420p"), tick)
    film += encoder.flush()
    noise = np.random.default_rng(1).normal(0, 0.1, (LOOP * 48_000, 2)).astype(np.float32)
    voice = speaker.encode(noise) + speaker.flush()
    return [(video_stream(encoding, film[0]), film), (audio_stream(speaker), voice)]


async def run(minutes: float, duration: int, format_: SegmentFormat, part: float, folder: Path) -> int:
    streams = encoded(duration)
    specs = {spec.codec.kind: spec for spec, _ in streams}
    output = SegmentOutput(
        SegmentNames("x.m3u8", "live.m3u8", "x"), format_, NameSuffix.INDEX, duration, LocalStorage(), part=part
    )
    header = folder / "x_init.mp4" if format_ is SegmentFormat.FMP4 else None
    delivery = Checking(str(folder), duration * FPS, header)
    errors: list[BaseException] = []
    started = wall()
    source = Source(
        kinds=frozenset(specs),
        spec_for=lambda first: specs[first.codec.kind],
        started_at=lambda: Wall(started),
        describe=lambda result, dropped: sys.exit("a file"),
        request_keyframe=lambda: None,
    )
    sink = SegmentSink(output, source, delivery, on_failed=errors.append)
    total = round(minutes * 60)
    memory: list[float] = []
    began = time.process_time()
    for second in range(total):
        loop, inside = divmod(second, LOOP)
        for spec, frames in streams:
            rate, length = spec.clock_rate, LOOP * spec.clock_rate
            for frame in frames:
                # Sound loops a packet short of what it would be: what lies before second 0 is the end of the loop.
                if inside * rate <= frame.timestamp < (inside + 1) * rate:
                    sink.packet(spec.codec.kind, replace(frame, timestamp=frame.timestamp + loop * length))
        # Some seconds may wait: faster than the disk makes no sense.
        async with asyncio.timeout(60):
            await delivery.reached((second - 8) // duration)
        if second % 60 == 59:
            memory.append(usage(os.getpid()).rss)
    recorded = await sink.finish()
    cpu = time.process_time() - began - delivery.seconds
    text = (folder / "x.m3u8").read_text()
    named = text.count("#EXTINF:")
    exact = text.count(f"#EXTINF:{duration:.6f},")
    [made] = recorded.segments
    early = memory[len(memory) // 6] if memory else 0.0
    grown = (memory[-1] - early) if memory else 0.0
    print(
        f"{format_.value}, {minutes:g} min of {SIZE[0]}x{SIZE[1]} at 3 Mbit/s, "
        f"segments of {duration} s, parts of {part:g} s"
    )
    print(f"segments written {delivery.segments}, named {named}, of exact duration {exact}; {made.size / 1e6:.0f} MB")
    print(f"memory {early:.1f} MB at a sixth, {memory[-1] if memory else 0:.1f} MB at the end: {grown:+.1f} MB")
    print(f"CPU {cpu / total * 1000:.2f} ms per second of media, checks apart")
    problems = [*map(str, errors), *delivery.wrong[:5]]
    if not (delivery.segments == named == total // duration and exact >= named - 1 and "#EXT-X-ENDLIST" in text):
        problems.append("the playlist is wrong")
    if grown > CONSTANT:
        problems.append("memory grows")
    print("\n".join(problems) if problems else "all is right")
    return 1 if problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--duration", type=int, default=1)
    parser.add_argument("--format", choices=("ts", "fmp4"), default="ts")
    parser.add_argument("--part", type=float, default=0.0)
    arguments = parser.parse_args()
    format_ = SegmentFormat.FMP4 if arguments.format == "fmp4" else SegmentFormat.MPEG_TS
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(arguments.minutes, arguments.duration, format_, arguments.part, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
