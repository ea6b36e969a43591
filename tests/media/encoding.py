"""What the tests of encoders put in, and how they look at what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.demo.content import DemoPicture
from pyegress.demo.stamp import Stamp, read_stamp
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.video_encoder import VideoEncoder
from pyegress.plan.encodings import AudioCodec, AudioEncoding, H264Profile, VideoCodec, VideoEncoding
from pyegress.rtp.frame import EncodedFrame

RATE = 48_000
Samples = NDArray[np.float32]


def sound(seconds: float, impulses: Sequence[float] = (), level: float = 0.02) -> Samples:
    """A quiet tone with loud clicks at the given seconds, (n, 2) at 48 kHz; left and right differ in sign."""
    count = round(seconds * RATE)
    wave = level * np.sin(2 * np.pi * 300 * np.arange(count) / RATE)
    for at in impulses:
        # A click with a middle: low-pass filters of encoders keep its place.
        middle = round(at * RATE)
        span = np.arange(max(0, middle - 24), min(count, middle + 25))
        wave[span] += 0.8 * np.cos(np.pi * (span - middle) / 50) ** 2
    return np.stack([wave, -wave], axis=1).astype(np.float32)


def audio(codec: AudioCodec, rate: int = 0, bitrate: int = 128) -> AudioEncoding:
    return AudioEncoding(codec, 0 if codec.lossless else bitrate, rate or codec.default_sample_rate)


def encode_sound(encoder: AudioEncoder, samples: Samples, block: int = 480) -> list[EncodedFrame]:
    frames: list[EncodedFrame] = []
    for at in range(0, len(samples), block):
        frames += encoder.encode(samples[at : at + block])
    return frames + encoder.flush()


def decoded(container: av.container.InputContainer, stream: av.AudioStream, *, torn: bool) -> Iterator[av.AudioFrame]:
    """The sound of a file. In a `torn` one the last packet may be damaged, and only the last."""
    damaged = False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            if not torn:
                raise
            damaged = True
            continue
        assert not damaged or not frames, "sound behind a damaged packet"
        yield from frames


def heard(path: Path, *, torn: bool = False) -> tuple[Samples, int, float]:
    """The decoded sound of a file as a player gives it: samples of shape (n, 2), Hz, seconds of the first sample."""
    blocks: list[NDArray[np.float32]] = []
    first: float | None = None
    rate = 0
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        # FFmpeg counts MP3 from behind the priming, which it has cut off by then.
        zero = float((stream.start_time or 0) * (stream.time_base or 0)) if container.format.name == "mp3" else 0.0
        for frame in decoded(container, stream, torn=torn):
            if first is None:
                first = float(frame.time or 0.0) - zero
            rate = frame.sample_rate
            block = frame.to_ndarray().astype(np.float32)
            if not frame.format.is_planar:
                block = block.reshape(-1, frame.layout.nb_channels).T
            blocks.append(block / np.float32(32768 if frame.format.name.startswith("s16") else 1))
    return np.concatenate(blocks, axis=1).T, rate, first or 0.0


def clicks(path: Path, impulses: Sequence[float], *, torn: bool = False) -> list[float]:
    """By how many milliseconds each click of a file is late."""
    samples, rate, first = heard(path, torn=torn)
    late = []
    for at in impulses:
        near = round((at - first) * rate)
        start = max(0, near - rate // 10)
        window = np.abs(samples[start : near + rate // 10, 0])
        assert window.max() > 0.3, f"no click within 0.1 s of {at}"
        late.append(((start + int(window.argmax())) / rate + first - at) * 1000)
    return late


def video(
    codec: VideoCodec,
    *,
    size: tuple[int, int] = (320, 180),
    framerate: int = 30,
    bitrate: int = 400,
    interval: float = 0,
) -> VideoEncoding:
    return VideoEncoding(
        codec,
        *size,
        framerate,
        bitrate,
        H264Profile.MAIN if codec is VideoCodec.H264 else None,
        key_frame_interval=interval,
        scene_cuts=not interval,
    )


def pictures(count: int, size: tuple[int, int] = (320, 180), framerate: int = 30) -> list[av.VideoFrame]:
    """Stamped pictures 0 to `count` - 1."""
    drawn = DemoPicture("encoder", 1, size=size, fps=framerate)
    return [av.VideoFrame.from_ndarray(drawn.draw(number), "yuv420p") for number in range(count)]


def encode_pictures(encoder: VideoEncoder, frames: Sequence[av.VideoFrame]) -> list[EncodedFrame]:
    packets: list[EncodedFrame] = []
    for tick, frame in enumerate(frames):
        packets += encoder.encode(frame, tick)
    return packets + encoder.flush()


def stamp_of(frame: av.VideoFrame) -> Stamp | None:
    """What a decoded picture says of itself."""
    return read_stamp(np.asarray(frame.to_ndarray(format="gray"), np.uint8))


def stamps(path: Path) -> list[tuple[float, int]]:
    """(seconds, number in the picture) of each decoded picture of a file."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            stamp = stamp_of(frame)
            assert stamp is not None, f"no stamp in the picture at {frame.time}"
            found.append((float(frame.time or 0.0), stamp.number))
    return found
