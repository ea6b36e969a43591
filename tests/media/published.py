"""What a publisher sends, as a media engine is told of it: pictures with their numbers, beeps, sender reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import av

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.demo.clips import ClipSpec, load_clip
from pyegress.demo.content import SAMPLE_RATE, DemoSound, tone_of
from pyegress.media.engine_messages import Begin, Frame, Message, Report
from pyegress.outputs.opus import opus_ticks
from pyegress.rtp.frame import EncodedFrame

#: Publishers' clocks show this at second 0 of a test.
NOON = 1_700_000_000.0
#: Seconds from capture to arrival.
DELAY = 0.02


@cache
def pictures(codec: Codec = Codec.VP8, participant: int = 3, seconds: int = 4) -> tuple[EncodedFrame, ...]:
    spec = ClipSpec(
        name="engine",
        participant=participant,
        codec=codec,
        size=(320, 180),
        fps=30,
        bitrate=300_000,
        seconds=seconds,
        gop=1,
        phases=1,
    )
    frames = load_clip(spec).phases[0]
    return tuple(
        EncodedFrame(codec, frame.data, 90_000 + number * 3000, Monotonic(0.0), frame.keyframe, None)
        for number, frame in enumerate(frames)
    )


@cache
def beeps(participant: int = 3, seconds: int = 4) -> tuple[EncodedFrame, ...]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "s16"
    encoder.open()
    sound = DemoSound(tone_of(participant))
    payloads: list[bytes] = []
    for at in range(0, seconds * SAMPLE_RATE, 960):
        # What the encoder gives belongs 6.5 ms before what it got.
        block = av.AudioFrame.from_ndarray(sound.samples(at + 312, 960).reshape(1, -1), "s16", "mono")
        block.sample_rate, block.pts = SAMPLE_RATE, at
        payloads += [bytes(packet) for packet in encoder.encode(block)]
    return tuple(
        EncodedFrame(Codec.OPUS, payload, 48_000 + number * 960, Monotonic(0.0), duration=opus_ticks(payload))
        for number, payload in enumerate(payloads)
    )


def sent(track: str, frames: Sequence[EncodedFrame], begun: float, at: float = 0.0) -> Iterator[tuple[float, Message]]:
    """A publisher's frames from second `at` on, each `DELAY` later, and two sender reports; (when, message)."""
    rate, zero = frames[0].codec.clock_rate, frames[0].timestamp
    yield at, Begin(track, track.partition("-")[0], frames[0].codec)
    for frame in frames:
        captured = at + (frame.timestamp - zero) / rate
        arrival = Monotonic(begun + captured + DELAY)
        moved = EncodedFrame(
            frame.codec, frame.payload, frame.timestamp, arrival, frame.keyframe, frame.size, frame.duration
        )
        yield captured, Frame(track, moved)
    for captured in (at + 0.5, at + 1.5):
        arrival = Monotonic(begun + captured + DELAY)
        yield captured, Report(track, Wall(NOON + captured), zero + round((captured - at) * rate), arrival)
