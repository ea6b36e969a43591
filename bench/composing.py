"""What pictures cost from encoded frames to the composed canvas, and where the time goes.

Run: python -m bench.composing [--seconds 20]

Goals, in cores (CPU seconds per second of output, 1280x720 at 30 fps, VP8 640x360 at 500 kbit/s each): 3 people at most
0.05, 9 people at most 0.13. Exit code 1 when one is missed.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import sys
import time

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.demo.clips import ClipSpec, load_clip
from pyegress.layouts.arranger import Arranger
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Participant, Scene, VideoSource
from pyegress.layouts.scene import VideoTrack as Publication
from pyegress.media.canvas import Canvas
from pyegress.media.video_decoder import VideoDecoder
from pyegress.media.video_track import VideoTrack
from pyegress.rtp.frame import EncodedFrame

FPS = 30
SIZE = Size(1280, 720)
GOALS = {3: 0.05, 9: 0.13}


def frames_of(person: int, codec: Codec, size: tuple[int, int], seconds: int) -> list[EncodedFrame]:
    """A clip of the demo, repeated."""
    spec = ClipSpec(f"P{person}", person, codec, size=size, bitrate=500_000, seconds=4, phases=1)
    clip = load_clip(spec).phases[0]
    return [
        EncodedFrame(
            codec, clip[number % spec.length].data, number * 3000, Monotonic(0.0), clip[number % spec.length].keyframe
        )
        for number in range(seconds * FPS)
    ]


def compose(streams: list[list[EncodedFrame]], seconds: int, layout: str, size: tuple[int, int]) -> float:
    """CPU seconds of decoding and composing all of it."""
    scene = Scene(
        tuple(
            Participant(
                f"P{i}",
                f"Person {i}",
                Wall(float(i)),
                tracks=(Publication(f"C{i}", VideoSource.CAMERA, size=Size(*size)),),
            )
            for i in range(len(streams))
        )
    )
    arrangement = Arranger(Layout.parse(layout), SIZE).arrange(scene, Monotonic(0.0))
    tracks = {f"C{i}": VideoTrack(1 / FPS) for i in range(len(streams))}
    canvas = Canvas(SIZE)
    began = time.process_time()
    for tick in range(seconds * FPS):
        now = tick / FPS
        for track, stream, number in zip(tracks.values(), streams, range(len(streams)), strict=True):
            track.push(stream[tick], now + number * 0.003)
        changed = {sid for sid, track in tracks.items() if track.advance(now)}
        canvas.compose(arrangement, {sid: track.picture for sid, track in tracks.items()}, changed, now)
    return (time.process_time() - began) / seconds


def decode(streams: list[list[EncodedFrame]], seconds: int) -> float:
    """CPU seconds of decoding alone."""
    decoders = [VideoDecoder(stream[0].codec) for stream in streams]
    began = time.process_time()
    for tick in range(seconds * FPS):
        for decoder, stream in zip(decoders, streams, strict=True):
            decoder.decode(stream[tick])
    return (time.process_time() - began) / seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="print where the time of 3 people goes")
    arguments = parser.parse_args()
    seconds: int = arguments.seconds
    missed = 0
    print("people  codec   size      layout                       decode   all   (cores)")
    cases = [
        *((count, Codec.VP8, (640, 360), "grid") for count in (1, 3, 9)),
        (9, Codec.VP8, (640, 360), "grid?names=1&gap=8&radius=12"),
        (3, Codec.VP8, (640, 360), "speaker"),
        (1, Codec.VP8, (1280, 720), "grid"),
        (3, Codec.H264, (640, 360), "grid"),
        (3, Codec.VP9, (640, 360), "grid"),
        (3, Codec.AV1, (640, 360), "grid"),
    ]
    for count, codec, size, layout in cases:
        streams = [frames_of(person, codec, size, seconds) for person in range(count)]
        alone = decode(streams, seconds)
        together = min(compose(streams, seconds, layout, size) for _ in range(2))
        goal = GOALS.get(count) if (codec, layout) == (Codec.VP8, "grid") else None
        verdict = "" if goal is None else f"goal {goal:.2f} {'met' if together <= goal else 'MISSED'}"
        missed += goal is not None and together > goal
        print(f"{count:6}  {codec.label:6}  {size[0]}x{size[1]:<5} {layout:29} {alone:.3f}  {together:.3f}  {verdict}")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if arguments.profile:
        streams = [frames_of(person, Codec.VP8, (640, 360), seconds) for person in range(9)]
        profile = cProfile.Profile()
        profile.runcall(compose, streams, seconds, "grid", (640, 360))
        pstats.Stats(profile).sort_stats("tottime").print_stats(18)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
