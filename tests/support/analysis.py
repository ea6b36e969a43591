"""What a recording contains: frame numbers, flashes, beeps, their offsets, and the packets' bytes.

Made for the pictures and sounds of `pyegress.demo.content`. Times are seconds of the file's own timeline, unless the
file does not start at 0: nothing is shifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.demo.content import SAMPLE_RATE, flash_region
from pyegress.demo.stamp import Luma, Region, read_stamp

#: Mean luma of the flash patch that counts as lit; it is 235 when lit and below 120 otherwise.
_LIT = 180.0


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame. `number` and `participant` are None where no valid stamp was found."""

    at: float
    number: int | None
    participant: int | None
    size: tuple[int, int]
    lit: bool
    keyframe: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """How a sequence of frame numbers differs from counting by one."""

    first: int
    last: int
    missing: tuple[int, ...]
    duplicated: tuple[int, ...]
    #: Numbers that came after a higher one.
    reordered: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sound:
    """Decoded audio, mono, -1..1, at 48 kHz on the file's timeline: sample 0 is at `start` seconds.

    Time that the file leaves out is silence here; `gaps` are those holes, (start, length) in seconds.
    """

    samples: NDArray[np.float32]
    start: float
    gaps: tuple[tuple[float, float], ...]

    @property
    def duration(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as it lies in the container. Times in seconds, None where the container has none."""

    pts: float | None
    dts: float | None
    duration: float | None
    keyframe: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamFacts:
    kind: str
    codec: str
    #: Pixels; (0, 0) for audio.
    size: tuple[int, int]
    #: Seconds as the container declares it, None when it does not.
    duration: float | None


@dataclass(frozen=True, slots=True)
class FileFacts:
    format: str
    #: Seconds as the container declares it, None when it does not.
    duration: float | None
    streams: tuple[StreamFacts, ...]


def file_facts(path: str | Path) -> FileFacts:
    """What the container declares, without decoding."""
    with av.open(str(path)) as container:
        streams = []
        for stream in container.streams:
            size = (stream.width, stream.height) if isinstance(stream, av.VideoStream) else (0, 0)
            base = stream.time_base
            length = float(stream.duration * base) if stream.duration is not None and base is not None else None
            streams.append(StreamFacts(stream.type, stream.codec_context.name, size, length))
        declared = container.duration / av.time_base if container.duration is not None else None
        return FileFacts(container.format.name, declared, tuple(streams))


def luma_of(frame: av.VideoFrame) -> Luma:
    """The luma plane of a decoded frame, shape (height, width)."""
    if frame.format.name not in ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "gray"):
        frame = frame.reformat(format="yuv420p")
    plane = frame.planes[0]
    rows: Luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def read_pictures(path: str | Path, region: Region | None = None, *, stream: int = 0) -> list[Picture]:
    """Decode a video stream to its end. `region`: the pixels in which the demo picture lies, default all of it."""
    pictures = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=stream):
            assert frame.time is not None, f"a frame without a time in {path}"
            luma = luma_of(frame)
            stamp = read_stamp(luma, region)
            whole = (0.0, 0.0, float(frame.width), float(frame.height))
            pictures.append(
                Picture(
                    at=frame.time,
                    number=stamp.number if stamp else None,
                    participant=stamp.participant if stamp else None,
                    size=(frame.width, frame.height),
                    lit=_is_lit(luma, flash_region(region or whole)),
                    keyframe=bool(frame.key_frame),
                )
            )
    return pictures


def _is_lit(luma: Luma, patch: Region) -> bool:
    x, y, width, height = patch
    rows = slice(round(y + height / 4), round(y + height * 3 / 4))
    columns = slice(round(x + width / 4), round(x + width * 3 / 4))
    return float(luma[rows, columns].mean()) > _LIT


def check_numbers(numbers: Iterable[int]) -> Numbers:
    """Compare with counting by one from the smallest to the largest number."""
    seen = list(numbers)
    if not seen:
        raise AssertionError("no frame numbers were read")
    unique = set(seen)
    highest, counted, duplicated, reordered = -1, set[int](), [], []
    for number in seen:
        if number in counted:
            duplicated.append(number)
        elif number < highest:
            reordered.append(number)
        counted.add(number)
        highest = max(highest, number)
    missing = [number for number in range(min(seen), max(seen) + 1) if number not in unique]
    return Numbers(min(seen), max(seen), tuple(missing), tuple(duplicated), tuple(reordered))


def numbers_of(pictures: Iterable[Picture]) -> list[int]:
    """The readable frame numbers, in order."""
    return [picture.number for picture in pictures if picture.number is not None]


def flash_onsets(pictures: Sequence[Picture]) -> list[float]:
    """When the flash patch lit up. A flash that is already on in the first picture has no onset."""
    return [after.at for before, after in pairwise(pictures) if after.lit and not before.lit]


def read_sound(
    path: str | Path, *, stream: int = 0, tolerance: float = 0.002, side: Literal["left", "right"] | None = None
) -> Sound:
    """Decode an audio stream onto its timeline: one side of it, or both as one.

    Holes above `tolerance` seconds are filled with silence and listed.
    """
    pieces: list[NDArray[np.float32]] = []
    gaps: list[tuple[float, float]] = []
    start: float | None = None
    written = 0
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="stereo" if side else "mono", rate=SAMPLE_RATE)
        for frame in container.decode(audio=stream):
            assert frame.time is not None, f"an audio frame without a time in {path}"
            if start is None:
                start = frame.time
            hole = frame.time - start - written / SAMPLE_RATE
            if hole > tolerance:
                gaps.append((start + written / SAMPLE_RATE, hole))
                pieces.append(np.zeros(round(hole * SAMPLE_RATE), np.float32))
                written += len(pieces[-1])
            # Times are kept by us: the resampler would otherwise warn of, or fill, the holes itself.
            frame.pts = None
            for converted in resampler.resample(frame):
                samples = converted.to_ndarray().reshape(-1).astype(np.float32)
                pieces.append(samples[0 if side == "left" else 1 :: 2] if side else samples)
                written += len(pieces[-1])
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return Sound(samples, start or 0.0, tuple(gaps))


def tone_envelope(sound: Sound, tone: float, window: float = 0.01) -> NDArray[np.float64]:
    """Amplitude of `tone` Hz around each sample, in a centred window of `window` seconds."""
    length = round(window * SAMPLE_RATE)
    if len(sound.samples) < length:
        return np.zeros(len(sound.samples))
    turns = np.exp(-2j * np.pi * tone / SAMPLE_RATE * np.arange(len(sound.samples)))
    summed = np.concatenate([[0], np.cumsum(sound.samples * turns)])
    inner = np.abs(summed[length:] - summed[:-length]) * 2 / length
    # The window around sample i begins length/2 before it.
    return np.pad(inner, (length // 2, len(sound.samples) - len(inner) - length // 2))


def beep_onsets(
    sound: Sound, tone: float, *, least: float = 0.05, shortest: float = 0.05, level: float | None = None
) -> list[float]:
    """When beeps of `tone` Hz began: where the amplitude passes half of the loudest, for `shortest` seconds or more.

    Nothing is found when the loudest is under `least`. A beep that is on at the first sample has no onset. With `level`
    it is that amplitude which has to be passed: an Opus decoder that joins a stream finds the right loudness only after
    some packets.
    """
    envelope = tone_envelope(sound, tone)
    if envelope.size == 0 or envelope.max() < least:
        return []
    loud = envelope > (envelope.max() / 2 if level is None else level)
    edges = np.flatnonzero(np.diff(loud.astype(np.int8))) + 1
    onsets = []
    for index, edge in enumerate(edges):
        end = edges[index + 1] if index + 1 < len(edges) else len(loud)
        if loud[edge] and (end - edge) >= shortest * SAMPLE_RATE:
            onsets.append(sound.start + float(edge) / SAMPLE_RATE)
    return onsets


def av_offsets(flashes: Sequence[float], beeps: Sequence[float], *, reach: float = 0.5) -> list[float]:
    """For each flash the nearest beep within `reach` seconds, minus the flash: positive when sound is late."""
    nearest = [min(beeps, key=lambda beep: abs(beep - flash)) - flash for flash in flashes if beeps]
    return [offset for offset in nearest if abs(offset) <= reach]


def read_packets(path: str | Path, kind: Literal["video", "audio"], *, stream: int = 0) -> list[Packet]:
    """The packets of a stream in file order, not decoded."""
    with av.open(str(path)) as container:
        chosen = container.streams.video[stream] if kind == "video" else container.streams.audio[stream]
        packets = []
        for packet in container.demux(chosen):
            if packet.size == 0:  # the demuxer's flush packet
                continue
            base = packet.time_base
            packets.append(
                Packet(
                    pts=None if packet.pts is None else float(packet.pts * base),
                    dts=None if packet.dts is None else float(packet.dts * base),
                    duration=None if packet.duration is None else float(packet.duration * base),
                    keyframe=packet.is_keyframe,
                    data=bytes(packet),
                )
            )
        return packets
