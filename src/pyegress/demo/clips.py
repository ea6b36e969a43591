"""Pre-encoded loops of demo pictures, made once with real encoders and kept on disk.

A clip exists in several phases: the same frames, encoded with key frames at different places. Whoever plays it can
answer a key-frame request within a fraction of the key-frame distance by changing the phase at its next key frame,
and the content goes on without a jump.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av

from pyegress.codecs import Codec
from pyegress.demo import content, stamp
from pyegress.demo.content import DemoPicture
from pyegress.media.svt import SvtThreads

_REALTIME_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
_X26X = {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1"}
_X265 = "repeat-headers=1:bframes=0:log-level=none:pools=1"
#: PyAV's encoder and its options: no frame waits for another and no frame is hidden, as in a live encoder.
_ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    Codec.VP8: ("libvpx", _REALTIME_VPX),
    Codec.VP9: ("libvpx-vp9", _REALTIME_VPX | {"row-mt": "0"}),
    Codec.H264: ("libx264", _X26X | {"profile": "baseline"}),
    Codec.H265: (
        "libx265",
        _X26X | {"preset": "ultrafast", "x265-params": "repeat-headers=1:bframes=0:log-level=none:pools=1"},
    ),
    Codec.AV1: ("libsvtav1", {"preset": "11", "svtav1-params": "rtc=1:pred-struct=1:rc=2:lp=1"}),
}


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """One access unit: as the encoder gave it, Annex B or low-overhead OBUs with a temporal delimiter."""

    data: bytes
    keyframe: bool


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """What a clip shows and how it is encoded. `bitrate` in bit/s, `seconds` before it repeats, `gop` seconds between
    key frames, `phases` as the module says."""

    name: str
    participant: int
    codec: Codec
    size: tuple[int, int] = (320, 180)
    fps: int = 30
    bitrate: int = 150_000
    seconds: int = 8
    gop: int = 2
    phases: int = 6

    @property
    def length(self) -> int:
        """Frames before it repeats."""
        return self.seconds * self.fps


@dataclass(frozen=True, slots=True)
class Clip:
    """Frame `i` of every phase shows number `i`; frame 0 is a key frame in all of them."""

    spec: ClipSpec
    phases: tuple[tuple[ClipFrame, ...], ...]

    def phase_with_keyframe(self, index: int) -> int | None:
        """The phase in which frame `index` (modulo the length) is a key frame."""
        at = index % self.spec.length
        return next((number for number, frames in enumerate(self.phases) if frames[at].keyframe), None)


@lru_cache(maxsize=32)
def load_clip(spec: ClipSpec) -> Clip:
    """From the cache, or encoded now (blocks, up to some seconds)."""
    path = _cache_directory() / f"{_digest(spec)}.clip"
    try:
        return _parse(spec, path.read_bytes())
    except (FileNotFoundError, ValueError):
        clip = encode_clip(spec)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(_serialize(clip))
    os.replace(file.name, path)  # whoever reads at the same time sees all of it or nothing
    return clip


def encode_clip(spec: ClipSpec) -> Clip:
    """Encode every phase."""
    picture = DemoPicture(spec.name, spec.participant, size=spec.size, fps=spec.fps)
    distance = spec.gop * spec.fps
    starts = [distance * phase // spec.phases for phase in range(spec.phases)]
    return Clip(spec, tuple(_encode_phase(spec, picture, start, distance) for start in starts))


def _encode_phase(spec: ClipSpec, picture: DemoPicture, start: int, distance: int) -> tuple[ClipFrame, ...]:
    name, options = _ENCODERS[spec.codec]
    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = spec.size
    encoder.pix_fmt, encoder.bit_rate = "yuv420p", spec.bitrate
    encoder.time_base, encoder.framerate = Fraction(1, spec.fps), Fraction(spec.fps)
    encoder.thread_count = 1
    # Key frames where they are forced, nowhere else: "never" (0 or less) means other things to some encoders.
    encoder.gop_size = spec.length + 1
    encoder.options = options
    threads = SvtThreads()
    threads.open(encoder)
    frames = []
    for number in range(spec.length):
        raw = av.VideoFrame.from_ndarray(picture.draw(number), format="yuv420p")
        raw.pts, raw.time_base = number, encoder.time_base
        if number % distance == start or number == 0:
            raw.pict_type = av.video.frame.PictureType.I
        frames.extend(threads.encode(encoder, raw))
    frames.extend(threads.encode(encoder, None))
    encoded = tuple(ClipFrame(bytes(packet), packet.is_keyframe) for packet in frames)
    if len(encoded) != spec.length:
        raise RuntimeError(f"{name} made {len(encoded)} packets of {spec.length} frames")
    return encoded


def _cache_directory() -> Path:
    directory = Path(tempfile.gettempdir()) / f"pyegress-clips-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        raise PermissionError(f"{directory} belongs to somebody else")
    return directory


def _digest(spec: ClipSpec) -> str:
    """Changes with the clip, with what draws and encodes it, and with PyAV."""
    drawn = [Path(str(module)).read_bytes() for module in (content.__file__, stamp.__file__, __file__)]
    return hashlib.sha256(b"\0".join([repr(spec).encode(), av.__version__.encode(), *drawn])).hexdigest()[:24]


def _serialize(clip: Clip) -> bytes:
    index = [[(len(frame.data), frame.keyframe) for frame in frames] for frames in clip.phases]
    head = json.dumps(index).encode()
    return struct.pack(">I", len(head)) + head + b"".join(f.data for frames in clip.phases for f in frames)


def _parse(spec: ClipSpec, stored: bytes) -> Clip:
    if len(stored) < 4:
        raise ValueError("truncated clip")
    (length,) = struct.unpack_from(">I", stored)
    at = 4 + length
    phases = []
    for index in json.loads(stored[4:at]):
        frames = []
        for size, keyframe in index:
            frames.append(ClipFrame(stored[at : at + size], keyframe))
            at += size
        phases.append(tuple(frames))
    if at != len(stored):
        raise ValueError("truncated clip")
    return Clip(spec, tuple(phases))
