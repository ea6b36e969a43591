"""Reads a recording back as the frames that were written into it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.rtp.frame import EncodedFrame

_CODECS = {
    "h264": Codec.H264,
    "hevc": Codec.H265,
    "av1": Codec.AV1,
    "vp8": Codec.VP8,
    "vp9": Codec.VP9,
    "opus": Codec.OPUS,
    "pcm_mulaw": Codec.PCMU,
    "pcm_alaw": Codec.PCMA,
}


def read_frames(path: Path) -> Iterator[tuple[int, EncodedFrame, int]]:
    """(stream, frame, ticks from the start of the file) in the order of the file, finished or not.

    Streams are numbered as they were written. Payloads are as in `EncodedFrame`: H.264 and H.265 in Annex B form.
    """
    # Loaded late: copies that need no rewriting (most) are spared its memory.
    import av

    with av.open(str(path)) as container:
        codecs = [_CODECS[stream.codec_context.name.removeprefix("lib")] for stream in container.streams]
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None or not packet.size:
                continue
            codec = codecs[packet.stream.index]
            payload = bytes(packet)
            if codec in (Codec.H264, Codec.H265):
                payload = annex_b(payload)
            ticks = round(Fraction(packet.pts) * packet.time_base * codec.clock_rate)
            frame = EncodedFrame(codec, payload, ticks, Monotonic(0.0), keyframe=packet.is_keyframe)
            yield packet.stream.index, frame, ticks


def annex_b(sample: bytes) -> bytes:
    """An MP4 sample (NAL units behind 4-byte lengths, ISO/IEC 14496-15) with start codes instead of lengths."""
    units = bytearray(sample)
    at = 0
    while at + 4 <= len(units):
        length = int.from_bytes(units[at : at + 4])
        units[at : at + 4] = b"\0\0\0\1"
        at += 4 + length
    return bytes(units)
