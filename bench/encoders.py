"""What video encoder settings cost and keep: `python -m bench.encoders [--material camera|grid] [NAME...]`.

Every candidate encodes the same camera-like pictures at 1280x720, 30 fps, 3 Mbit/s in a process of its own. Printed per
candidate: core-seconds per second of media, mean SSIM of luma against the source, bit rate, frames between input and
output, and memory; and cost and SSIM relative to x264 veryfast without B-frames in the same run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from bench.camera import FPS, Plane, grid, person
from bench.machine import Quiet, verdict

from pyegress.media.svt import SvtThreads

_SIZE = (1280, 720)
_BITRATE = 3_000_000
_X264_VBV = {"maxrate": str(_BITRATE), "bufsize": str(2 * _BITRATE), "profile": "main"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoder with its options; `params` are added to x264's."""

    name: str
    codec: str
    options: dict[str, str]
    threads: int = 2


def _x264(name: str, preset: str, params: str = "", threads: int = 2) -> Candidate:
    options = {"preset": preset, "bf": "0", **_X264_VBV}
    if params:
        options["x264-params"] = params
    return Candidate(name, "libx264", options, threads)


_AV1 = {"svtav1-params": "rtc=1:pred-struct=1:rc=2:lp=2"}
_CBR = {"minrate": str(_BITRATE), "maxrate": str(_BITRATE), "bufsize": str(2 * _BITRATE)}
_VPX = {"deadline": "realtime", "lag-in-frames": "0", "g": "250"}

CANDIDATES = (
    _x264("veryfast", "veryfast"),
    _x264("faster", "faster"),
    _x264("veryfast t1", "veryfast", threads=1),
    _x264("veryfast sliced t2", "veryfast", "sliced-threads=1"),
    _x264("veryfast la0", "veryfast", "rc-lookahead=0:sync-lookahead=0:mbtree=0"),
    _x264("veryfast subme1", "veryfast", "subme=1"),
    _x264("veryfast subme1 trellis0", "veryfast", "subme=1:trellis=0"),
    _x264("veryfast notrellis", "veryfast", "trellis=0"),
    _x264("superfast", "superfast"),
    _x264("superfast mbtree la10", "superfast", "mbtree=1:rc-lookahead=10"),
    _x264("superfast mbtree la10 t1", "superfast", "mbtree=1:rc-lookahead=10", 1),
    _x264("superfast mbtree la5 t1", "superfast", "mbtree=1:rc-lookahead=5", 1),
    _x264("superfast mbtree la10 subme2", "superfast", "mbtree=1:rc-lookahead=10:subme=2"),
    _x264("superfast mbtree la10 p8x8", "superfast", "mbtree=1:rc-lookahead=10:partitions=i4x4,p8x8"),
    _x264("superfast mbtree la10 hex", "superfast", "mbtree=1:rc-lookahead=10:me=hex"),
    _x264("superfast mbtree la10 hex subme2", "superfast", "mbtree=1:rc-lookahead=10:me=hex:subme=2"),
    _x264("superfast mbtree la10 weightp1", "superfast", "mbtree=1:rc-lookahead=10:weightp=1"),
    _x264("superfast mbtree la10 aq0", "superfast", "mbtree=1:rc-lookahead=10:aq-mode=0"),
    _x264("superfast mbtree la10 aq2", "superfast", "mbtree=1:rc-lookahead=10:aq-mode=2"),
    _x264("superfast mbtree la10 ref2", "superfast", "mbtree=1:rc-lookahead=10:ref=2"),
    _x264("superfast mbtree la20", "superfast", "mbtree=1:rc-lookahead=20"),
    _x264("superfast mbtree la10 nopsy", "superfast", "mbtree=1:rc-lookahead=10:no-psy=1"),
    _x264("ultrafast", "ultrafast"),
    _x264(
        "ultrafast cabac deblock mbtree la10", "ultrafast", "cabac=1:no-deblock=0:aq-mode=1:mbtree=1:rc-lookahead=10"
    ),
    _x264("superfast mbtree la5", "superfast", "mbtree=1:rc-lookahead=5"),
    _x264("superfast subme0", "superfast", "subme=0"),
    _x264("superfast nopart", "superfast", "partitions=none"),
    _x264("superfast nopart subme0", "superfast", "partitions=none:subme=0"),
    _x264("ultrafast cabac", "ultrafast", "cabac=1"),
    _x264("ultrafast aq", "ultrafast", "aq-mode=1"),
    _x264("ultrafast cabac deblock aq", "ultrafast", "cabac=1:no-deblock=0:aq-mode=1"),
    _x264("ultrafast cabac deblock aq subme1", "ultrafast", "cabac=1:no-deblock=0:aq-mode=1:subme=1"),
    _x264("high faster la10", "faster", "rc-lookahead=10"),
    _x264("high veryfast subme4", "veryfast", "subme=4"),
    _x264("high veryfast subme4 ref2", "veryfast", "subme=4:ref=2"),
    _x264("high veryfast la0 subme4", "veryfast", "subme=4:rc-lookahead=0:mbtree=0"),
    *(Candidate(f"vp8 t1 speed {n}", "libvpx", _VPX | {"cpu-used": f"-{n}"}, 1) for n in (3, 4, 6, 8, 10, 12)),
    Candidate("vp8 cpu4", "libvpx", _VPX | {"cpu-used": "4"}),
    Candidate("vp8 cpu6", "libvpx", _VPX | {"cpu-used": "6"}),
    Candidate("vp8 cpu8", "libvpx", _VPX | {"cpu-used": "8"}),
    Candidate("vp9 cpu5", "libvpx-vp9", _VPX | {"cpu-used": "5", "row-mt": "1", "tile-columns": "1"}),
    Candidate("vp9 cpu7", "libvpx-vp9", _VPX | {"cpu-used": "7", "row-mt": "1", "tile-columns": "1"}),
    Candidate("vp9 cpu8", "libvpx-vp9", _VPX | {"cpu-used": "8", "row-mt": "1", "tile-columns": "1"}),
    Candidate("vp9 cpu8 cbr", "libvpx-vp9", _VPX | _CBR | {"cpu-used": "8", "row-mt": "1", "tile-columns": "1"}),
    Candidate("vp9 cpu8 t1", "libvpx-vp9", _VPX | {"cpu-used": "8", "row-mt": "1", "tile-columns": "1"}, 1),
    Candidate(
        "vp9 cpu8 aq3", "libvpx-vp9", _VPX | {"cpu-used": "8", "row-mt": "1", "tile-columns": "1", "aq-mode": "3"}
    ),
    *(Candidate(f"av1 preset{n}", "libsvtav1", _AV1 | {"preset": str(n)}) for n in (9, 10, 11, 12)),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Core-seconds per second, mean SSIM, kbit/s, frames of delay, MB."""

    cpu: float
    ssim: float
    kbps: float
    delay: int
    memory: float


def measure(candidate: Candidate, pictures: Sequence[Plane]) -> Figures:
    """Encode all, then compare. Runs in a process of its own."""
    frames = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        frames.append(frame)
    encoder = av.CodecContext.create(candidate.codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = _SIZE
    encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, FPS), Fraction(FPS)
    encoder.bit_rate = _BITRATE
    encoder.thread_count = candidate.threads
    encoder.options = candidate.options
    threads = SvtThreads()
    threads.open(encoder)
    memory = _resident()
    before = resource.getrusage(resource.RUSAGE_SELF)
    packets: list[av.Packet[av.VideoStream]] = []
    delay = 0
    for number, frame in enumerate(frames):
        packets += threads.encode(encoder, frame)
        delay = max(delay, number + 1 - len(packets))
    most = _resident()
    packets += threads.encode(encoder, None)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = len(frames) / FPS
    kbps = sum(packet.size for packet in packets) * 8 / seconds / 1000
    return Figures(cpu / seconds, _ssim(candidate.codec, packets, frames), kbps, delay, most - memory)


def _ssim(codec: str, packets: Sequence[av.Packet[av.VideoStream]], sources: Sequence[av.VideoFrame]) -> float:
    name = {"libx264": "h264", "libvpx": "vp8", "libvpx-vp9": "vp9", "libsvtav1": "libdav1d"}[codec]
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    graph = Graph()
    shape = {"width": _SIZE[0], "height": _SIZE[1], "format": "yuv420p", "time_base": Fraction(1, FPS)}
    first, second = graph.add_buffer(name="a", **shape), graph.add_buffer(name="b", **shape)  # type: ignore[arg-type]
    compare, sink = graph.add("ssim"), graph.add("buffersink")
    first.link_to(compare, 0, 0)
    second.link_to(compare, 0, 1)
    compare.link_to(sink)
    graph.configure()
    values: list[float] = []

    def push(decoded: Sequence[av.VideoFrame]) -> None:
        for frame in decoded:
            number = counted[0]
            counted[0] += 1
            source = sources[number]
            frame.pts = source.pts = number
            frame.time_base = source.time_base = Fraction(1, FPS)
            first.push(frame)
            second.push(source)
            try:
                while True:
                    result = sink.pull()
                    values.append(float(result.metadata["lavfi.ssim.Y"]))
            except (BlockingIOError, EOFError):
                continue

    counted = [0]
    for packet in packets:
        push(decoder.decode(packet))
    push(decoder.decode(None))
    assert counted[0] == len(sources), f"{counted[0]} of {len(sources)} pictures came back"
    return float(np.mean(values))


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--material", choices=("camera", "grid"), default="grid")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("names", nargs="*", help="candidates by the start of their names; all when none")
    asked = parser.parse_args()
    pictures = grid(asked.seconds) if asked.material == "grid" else person(_SIZE, asked.seconds)
    fork = multiprocessing.get_context("fork")
    quiet = Quiet()
    base: Figures | None = None
    print(f"{'candidate':40} {'core':>6} {'ratio':>6} {'SSIM':>7} {'diff':>8} {'kbit/s':>7} {'delay':>5} {'MB':>5}")
    for candidate in CANDIDATES:
        if asked.names and candidate is not CANDIDATES[0] and not candidate.name.startswith(tuple(asked.names)):
            continue
        with fork.Pool(1) as pool:
            found = pool.apply(measure, (candidate, pictures))
        base = base or found
        print(
            f"{candidate.name:40} {found.cpu:6.3f} {found.cpu / base.cpu:6.2f} {found.ssim:7.4f} "
            f"{found.ssim - base.ssim:+8.4f} {found.kbps:7.0f} {found.delay:5} {found.memory:5.0f}",
            flush=True,
        )
    print(verdict(quiet.foreign()))


if __name__ == "__main__":
    main()
