"""Costs of composing: a transcoded recording as users make it, beside x264 alone on the same pictures in the same run.

Run: python -m bench.composite [--seconds 20] [--only participant,grid3,grid9,audio4]

The pictures of each recording are encoded once more by the encoder alone, with the same settings: as fast as it goes
("at once"), and in the time and the portions in which a recording gives them to it ("in time"), which costs up to half
more, because a thread that slept finds its caches cold. What the recording cost above the encoder in time is ours:
reception, decoding, composing, mixing, sound encoding, writing. Exit code 1 when a goal is missed on a quiet machine,
75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.machine import conclude
from bench.recorder import Used, record

from pyegress.clock import monotonic
from pyegress.codecs import Codec

ROOM = "bench"
_PER_PROCESS, _SETTLE = 3, 8.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What is recorded, and the goals: core above the encoder alone, core in all (0: none), MB of memory.

    `reference` is what LiveKit Egress 1.14 needs for the same on such a machine (cores, MB of memory).
    """

    arguments: tuple[str, ...]
    people: int
    size: tuple[int, int]
    rest: float
    total: float
    memory: float
    reference: str
    video: bool = True


SCENES = {
    "participant": Scene(("participant", "-i", "p0"), 1, (1280, 720), 0.05, 0.0, 200, "0.46, 348 MB"),
    "grid3": Scene(("room", "--layout", "grid"), 3, (640, 360), 0.07, 0.30, 200, "0.65, 766 MB"),
    "grid9": Scene(("room", "--layout", "grid"), 9, (640, 360), 0.15, 0.0, 250, "-"),
    "audio4": Scene(("room", "--audio-only"), 4, (640, 360), 0.04, 0.04, 200, "0.10, 123 MB", video=False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What the recorder used, and cores of the encoder alone, at once and in time."""

    used: Used
    at_once: float
    in_time: float


def encoder_alone(path: Path, seconds: float) -> tuple[float, float]:
    """Core-seconds per second of media that the encoder needs for the pictures of a recording: at once, in time."""
    import av

    from pyegress.media.engine import FILE_ROUND
    from pyegress.media.video_encoder import VideoEncoder
    from pyegress.plan.encodings import EncodingWish, VideoCodec, video_encoding

    frames: list[av.VideoFrame] = []
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            frames.append(frame)
            if len(frames) >= seconds * 30:
                break
    encoding = video_encoding(VideoCodec.H264, EncodingWish(), rtmp_or_srt=False, rtmp=False)
    costs = []
    for portion in (len(frames), round(FILE_ROUND * 30)):
        encoder = VideoEncoder(encoding)
        before, begun = _cpu(), monotonic()
        for tick, frame in enumerate(frames):
            if tick and tick % portion == 0:
                time.sleep(max(0.0, begun + tick / 30 - monotonic()))
            encoder.encode(frame, tick)
        encoder.flush()
        costs.append((_cpu() - before) / (len(frames) / 30))
    at_once, in_time = costs
    return at_once, in_time


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(scene: Scene, seconds: float) -> Row:
    """Record a scene and measure the recorder."""
    from pyegress.demo.cast import Cast, Person
    from pyegress.demo.publishers import Content
    from pyegress.demo.server import LiveKitServer

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder / "server"))
        for first in range(0, scene.people, _PER_PROCESS):
            people = []
            for index in range(first, min(first + _PER_PROCESS, scene.people)):
                content = Content(
                    participant=index, codec=Codec.VP8, size=scene.size, encoded=True, bitrate=800_000, dtx=False
                )
                people.append(Person(f"p{index}", server.token(f"p{index}", ROOM), content, video=scene.video))
            stack.enter_context(Cast(server.url, people))
        output = folder / ("out.mp4" if scene.video else "out.ogg")
        arguments = [*scene.arguments, "--room", ROOM, "-o", str(output)]
        used = record(server, arguments, folder / "log", settle=_SETTLE, seconds=seconds, tail=4.0)
        at_once, in_time = encoder_alone(output, min(10.0, seconds)) if scene.video else (0.0, 0.0)
        return Row(used, at_once, in_time)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default=",".join(SCENES))
    options = parser.parse_args()
    print(
        f"{'scene':<12} {'core':>6} {'at once':>8} {'in time':>8} {'rest':>6} {'goal':>6} {'PSS MB':>7} {'RSS MB':>7} "
        f"{'threads':>7}  reference"
    )
    missed, foreign = [], 0.0
    for name in options.only.split(","):
        scene = SCENES[name]
        row = measure(scene, options.seconds)
        used, rest = row.used, row.used.cores - row.in_time
        print(
            f"{name:<12} {used.cores:>6.3f} {row.at_once:>8.3f} {row.in_time:>8.3f} {rest:>6.3f} "
            f"{scene.rest:>6.3f} {used.pss:>7.1f} {used.rss:>7.1f} {used.threads:>7.0f}  {scene.reference}",
            flush=True,
        )
        foreign = max(foreign, used.foreign)
        if rest > scene.rest:
            missed.append(f"{name}: {rest:.3f} core beside the encoder, goal {scene.rest}")
        if scene.total and used.cores > scene.total:
            missed.append(f"{name}: {used.cores:.3f} core in all, goal {scene.total}")
        if used.pss > scene.memory:
            missed.append(f"{name}: {used.pss:.0f} MB, goal {scene.memory:.0f}")
    return conclude(missed, foreign)


if __name__ == "__main__":
    raise SystemExit(main())
