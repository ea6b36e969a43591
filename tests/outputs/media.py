"""Real encodes as the frames that reception hands over, and files read back by FFmpeg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.media.svt import SvtThreads
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.opus import opus_ticks
from pyegress.plan.containers import Container
from pyegress.rtp.av1_headers import ObuType, split_obus
from pyegress.rtp.codec_config import START_CODE, split_annexb
from pyegress.rtp.frame import EncodedFrame

FPS = 25
STEP = 90_000 // FPS

_ENCODERS: dict[Codec, tuple[str, dict[str, str]]] = {
    Codec.H264: ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
    Codec.H265: (
        "libx265",
        {"preset": "ultrafast", "x265-params": "bframes=0:repeat-headers=1:log-level=-1:pools=none:frame-threads=1"},
    ),
    Codec.VP8: ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    Codec.VP9: ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
    Codec.AV1: ("libsvtav1", {"preset": "9", "svtav1-params": "pred-struct=1:lp=1"}),
}


def picture(number: int, size: tuple[int, int]) -> av.VideoFrame:
    """A moving bar on grey."""
    image = np.full((size[1], size[0], 3), 60, np.uint8)
    at = number * 8 % size[0]
    image[:, at : at + 16] = (200, 30 * (number % 8), 90)
    return av.VideoFrame.from_ndarray(image, format="rgb24")


@cache
def video(codec: Codec, count: int, size: tuple[int, int] = (160, 96), gop: int = FPS) -> tuple[EncodedFrame, ...]:
    """`count` frames at 25 fps from timestamp 0, a key frame every `gop`."""
    name, options = _ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.framerate = Fraction(FPS)
    encoder.gop_size = gop
    if codec is not Codec.AV1:  # SVT-AV1 takes no bitrate with low delay
        encoder.bit_rate = 200_000
    encoder.thread_count = 1
    encoder.options = {"g": str(gop), "keyint_min": str(gop), **options}
    threads = SvtThreads()
    threads.open(encoder)
    packets: list[av.Packet[av.VideoStream]] = []
    for number in range(count):
        frame = picture(number, size)
        frame.pts = number
        frame.time_base = encoder.time_base
        packets += threads.encode(encoder, frame)
    packets += threads.encode(encoder, None)
    assert len(packets) == count
    return tuple(_frame(codec, packet, size) for packet in packets)


def _frame(codec: Codec, packet: av.Packet[av.VideoStream], size: tuple[int, int]) -> EncodedFrame:
    payload = bytes(packet)
    if codec in (Codec.H264, Codec.H265):
        payload = b"".join(START_CODE + nal for nal in split_annexb(payload))
    if codec is Codec.AV1:
        payload = b"".join(obu.sized() for obu in split_obus(payload) if obu.type != ObuType.TEMPORAL_DELIMITER)
    assert packet.pts is not None
    return EncodedFrame(
        codec, payload, packet.pts * STEP, Monotonic(0.0), packet.is_keyframe, size if packet.is_keyframe else None
    )


@cache
def opus(count: int, *, channels: int = 1, milliseconds: str = "20") -> tuple[EncodedFrame, ...]:
    """`count` packets of a 440 Hz tone from timestamp 0."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate = 48_000
    encoder.layout = "mono" if channels == 1 else "stereo"
    encoder.format = "s16"
    encoder.bit_rate = 32_000
    encoder.options = {"frame_duration": milliseconds}
    encoder.open()
    ticks = encoder.frame_size
    assert ticks
    frames: list[EncodedFrame] = []
    at = 0
    for number in range(count + 1):
        times = (np.arange(ticks) + number * ticks) / 48_000
        tone = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(np.repeat(tone, channels).reshape(1, -1), "s16", encoder.layout.name)
        sound.sample_rate = 48_000
        sound.pts = number * ticks
        for packet in encoder.encode(sound):
            payload = bytes(packet)
            frames.append(EncodedFrame(Codec.OPUS, payload, at, Monotonic(0.0), duration=opus_ticks(payload)))
            at += opus_ticks(payload)
    return tuple(frames[:count])


def g711(codec: Codec, count: int) -> tuple[EncodedFrame, ...]:
    """`count` packets of 20 ms with ever other bytes."""
    return tuple(
        EncodedFrame(codec, bytes((n + i) % 251 for i in range(160)), n * 160, Monotonic(0.0), duration=160)
        for n in range(count)
    )


def frames_of(codec: Codec, seconds: float) -> tuple[EncodedFrame, ...]:
    """As many frames of a codec as `seconds` take."""
    if codec.kind is Kind.VIDEO:
        return video(codec, round(seconds * FPS))
    return opus(round(seconds * 50)) if codec is Codec.OPUS else g711(codec, round(seconds * 50))


def spec_of(frames: Sequence[EncodedFrame], title: str = "") -> StreamSpec:
    return StreamSpec(frames[0].codec, frames[0].size, frames[0], title=title)


@dataclass
class Track:
    """One stream of a file as FFmpeg's demuxer gives it."""

    codec: str
    payloads: list[bytes] = field(default_factory=list)
    #: Seconds.
    times: list[Fraction] = field(default_factory=list)
    ends: list[Fraction] = field(default_factory=list)
    keyframes: list[bool] = field(default_factory=list)
    time_base: Fraction = Fraction(1)


@dataclass
class ReadBack:
    tracks: list[Track]
    #: Seconds, None when the file does not say.
    duration: float | None


def read_back(path: Path) -> ReadBack:
    """Demux a whole file."""
    with av.open(str(path)) as container:
        tracks = [Track(s.codec.name, time_base=s.time_base or Fraction(1)) for s in container.streams]
        for packet in container.demux():
            if not packet.size or packet.pts is None:
                continue
            track = tracks[packet.stream_index]
            base = packet.time_base
            track.payloads.append(bytes(packet))
            track.times.append(packet.pts * base)
            track.ends.append((packet.pts + (packet.duration or 0)) * base)
            track.keyframes.append(packet.is_keyframe)
        return ReadBack(tracks, container.duration / 1e6 if container.duration is not None else None)


def decode_video(path: Path) -> list[tuple[float, tuple[int, int]]]:
    """(seconds, size) of every decoded picture; raises if any frame cannot be decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return [(float(f.time or 0.0), (f.width, f.height)) for f in container.decode(stream)]


def decode_audio(path: Path) -> tuple[float, int, int]:
    """(seconds of the first sample, samples, channels) of the decoded sound."""
    with av.open(str(path)) as container:
        first: float | None = None
        samples = channels = 0
        for frame in container.decode(container.streams.audio[0]):
            first = float(frame.time or 0.0) if first is None else first
            samples += frame.samples
            channels = frame.layout.nb_channels
        return first or 0.0, samples, channels


def nals(sample: bytes) -> list[bytes]:
    """The NAL units of an MP4 sample."""
    out: list[bytes] = []
    while sample:
        size = int.from_bytes(sample[:4], "big")
        out.append(sample[4 : 4 + size])
        sample = sample[4 + size :]
    return out


def published(frame: EncodedFrame) -> object:
    """What a demuxer must give back for a frame, in a form that can be compared."""
    if frame.codec in (Codec.H264, Codec.H265):
        return split_annexb(frame.payload)
    return frame.payload


def recovered(codec: Codec, payload: bytes) -> object:
    """The same of a demuxed payload."""
    return nals(payload) if codec in (Codec.H264, Codec.H265) else payload


@dataclass(frozen=True)
class Combination:
    """A container with the codecs of its streams."""

    container: Container
    codecs: tuple[Codec, ...]
    extension: str

    def __str__(self) -> str:
        return "+".join(codec.name for codec in self.codecs) + self.extension

    def frames(self, seconds: float) -> list[tuple[EncodedFrame, ...]]:
        return [frames_of(codec, seconds) for codec in self.codecs]


COMBINATIONS = [
    *(Combination(Container.MP4, (c,), ".mp4") for c in (Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.OPUS)),
    *(Combination(Container.MP4, (c, Codec.OPUS), ".mp4") for c in (Codec.H264, Codec.H265, Codec.AV1)),
    *(Combination(Container.WEBM, (c,), ".webm") for c in (Codec.VP8, Codec.VP9, Codec.AV1, Codec.OPUS)),
    *(Combination(Container.WEBM, (c, Codec.OPUS), ".webm") for c in (Codec.VP8, Codec.VP9, Codec.AV1)),
    Combination(Container.WEBM, (Codec.VP8, Codec.OPUS), ".mkv"),
    Combination(Container.OGG, (Codec.OPUS,), ".ogg"),
    Combination(Container.WAV, (Codec.PCMU,), ".wav"),
    Combination(Container.WAV, (Codec.PCMA,), ".wav"),
]


def placed(
    streams: Sequence[Sequence[EncodedFrame]], offsets: Sequence[float] = (0.0, 0.0)
) -> list[tuple[int, EncodedFrame, int]]:
    """The frames of all streams in order of time, each stream beginning at its offset (seconds)."""
    items = [
        (stream, frame, frame.timestamp + round(offsets[stream] * frame.codec.clock_rate))
        for stream, frames in enumerate(streams)
        for frame in frames
    ]
    return sorted(items, key=lambda item: item[2] / item[1].codec.clock_rate)


def write_left(path: Path, *, seconds: float) -> None:
    """A WebM file with VP8 and Opus, as a killed process leaves it."""
    combination = next(c for c in COMBINATIONS if str(c) == "VP8+OPUS.webm")
    streams = combination.frames(seconds)
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams])
    for stream, frame, pts in placed(streams):
        writer.write(stream, frame, pts)
    writer.abort()
