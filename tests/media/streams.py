"""Encoded streams of stamped pictures, made on the spot with real encoders."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import Any

import av

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.demo.clips import ClipSpec, encode_clip
from pyegress.demo.content import DemoPicture
from pyegress.demo.stamp import Stamp, read_stamp
from pyegress.media.planes import planes_of
from pyegress.media.svt import SvtThreads
from pyegress.rtp.frame import EncodedFrame

VIDEO = (Codec.VP8, Codec.VP9, Codec.H264, Codec.H265, Codec.AV1)
FPS = 30
TICKS = 3000


@cache
def stream(codec: Codec, *, size: tuple[int, int] = (160, 120), participant: int = 3) -> tuple[EncodedFrame, ...]:
    """A second of video, numbers 0 to 29, with key frames at 0 and 15."""
    spec = ClipSpec("P", participant, codec, size=size, seconds=2, gop=1, phases=2, bitrate=200_000)
    frames = encode_clip(spec).phases[1][:FPS]
    return tuple(encoded(codec, frame.data, number, frame.keyframe) for number, frame in enumerate(frames))


def encoded(codec: Codec, data: bytes, number: int, keyframe: bool) -> EncodedFrame:
    """As reception hands it over: AV1 without temporal delimiters."""
    if codec is Codec.AV1 and data.startswith(b"\x12\x00"):
        data = data[2:]
    return EncodedFrame(codec, data, number * TICKS, Monotonic(number / FPS), keyframe)


def encode_as(
    encoder: str,
    codec: Codec,
    pixel_format: str,
    frames: Iterable[av.VideoFrame],
    options: dict[str, str] | None = None,
) -> list[EncodedFrame]:
    """Frames of any format, with the tags they have, through one of FFmpeg's encoders."""
    pictures = list(frames)
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = pictures[0].width, pictures[0].height, pixel_format
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
    context.thread_count, context.options = 1, options or {}
    context.colorspace, context.color_range = int(pictures[0].colorspace), int(pictures[0].color_range)
    threads = SvtThreads()
    threads.open(context)
    packets = []
    for number, picture in enumerate(pictures):
        picture.pts, picture.time_base = number, Fraction(1, FPS)
        packets += threads.encode(context, picture)
    packets += threads.encode(context, None)
    return [encoded(codec, bytes(packet), number, packet.is_keyframe) for number, packet in enumerate(packets)]


def demo_frame(number: int, size: tuple[int, int] = (160, 120)) -> av.VideoFrame:
    """A stamped picture, not encoded."""
    return av.VideoFrame.from_ndarray(DemoPicture("P", 3, size=size).draw(number), format="yuv420p")


def stamp_of(picture: av.VideoFrame | None) -> Stamp | None:
    return None if picture is None else read_stamp(planes_of(picture).luma)


def number_of(picture: av.VideoFrame | None) -> int | None:
    """The frame number in a picture; None without a readable one."""
    found = stamp_of(picture)
    return None if found is None else found.number
