"""Encoded tones and beeps, and what tests measure in sound."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.media.audio_track import AudioTrack
from pyegress.outputs.opus import opus_ticks
from pyegress.rtp.frame import EncodedFrame

RATE = 48_000
#: libopus hands out sound this much later than it got it (6.5 ms).
OPUS_DELAY = 312
Sound = NDArray[np.float32]


def tone(seconds: float, frequency: float = 440.0, level: float = 0.25, rate: int = RATE) -> Sound:
    times = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


def beeps(seconds: float, every: float = 1.0, rate: int = RATE) -> Sound:
    """50 ms of 1 kHz at each whole multiple of `every`, from `every` on."""
    sound = np.zeros(round(seconds * rate), np.float32)
    beep = tone(0.05, 1000, 0.5, rate)
    at = every
    while at < seconds - 0.1:
        sound[round(at * rate) :][: len(beep)] = beep
        at += every
    return sound


def opus_packets(sound: Sound, *, fec: bool = False, bit_rate: int = 64_000) -> list[EncodedFrame]:
    """Mono sound in packets of 20 ms from timestamp 0."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "flt"
    encoder.bit_rate = bit_rate
    encoder.options = {"application": "voip", "fec": "1", "packet_loss": "15"} if fec else {"application": "audio"}
    encoder.open()
    padded = np.concatenate((sound, np.zeros(-len(sound) % 960 + 960, np.float32)))
    payloads: list[bytes] = []
    for at in range(0, len(padded), 960):
        frame = av.AudioFrame.from_ndarray(padded[at : at + 960].reshape(1, -1), "flt", "mono")
        frame.sample_rate, frame.pts = RATE, at
        payloads += [bytes(packet) for packet in encoder.encode(frame)]
    return [
        EncodedFrame(Codec.OPUS, payload, number * 960, Monotonic(0.0), duration=opus_ticks(payload))
        for number, payload in enumerate(payloads)
    ]


def read_all(track: AudioTrack, seconds: float, start: int = 0, step: int = 960) -> Sound:
    """The left side of what a track gives, window by window."""
    parts = []
    for at in range(start, start + round(seconds * RATE), step):
        block = track.read(at, step)
        parts.append(np.zeros((step, 2), np.float32) if block is None else block)
    out: Sound = np.concatenate(parts)[:, 0]
    return out


def onsets(sound: Sound, threshold: float = 0.1) -> list[float]:
    """Seconds at which something louder than `threshold` begins after 100 ms of quiet."""
    loud = np.flatnonzero(np.abs(sound) > threshold)
    if not len(loud):
        return []
    first = np.concatenate(([True], np.diff(loud) > RATE // 10))
    return [float(at) / RATE for at in loud[first]]


def steepest(sound: Sound) -> float:
    """The largest step from a sample to the next."""
    return float(np.abs(np.diff(sound)).max())


def without(frames: list[EncodedFrame], lost: set[int]) -> list[tuple[int, EncodedFrame]]:
    """(number, frame) of those that arrive; those behind a loss say so."""
    out = []
    for number, frame in enumerate(frames):
        if number in lost:
            continue
        gone = number - 1 in lost
        out.append(
            (
                number,
                EncodedFrame(
                    frame.codec,
                    frame.payload,
                    frame.timestamp,
                    frame.arrival,
                    duration=frame.duration,
                    discontinuity=gone,
                ),
            )
        )
    return out
