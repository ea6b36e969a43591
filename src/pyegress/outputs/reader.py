"""Reads a growing recording back as the frames that were written into it: exactly, and without loading FFmpeg."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.outputs import ebml
from pyegress.outputs.fragment_reader import BoxReader, NotARecording, children, track_runs
from pyegress.outputs.opus import opus_ticks
from pyegress.outputs.wav import G711_SILENCE
from pyegress.rtp.codec_config import START_CODE
from pyegress.rtp.frame import EncodedFrame

#: (stream, frame, ticks from the start of the file).
Read = tuple[int, EncodedFrame, int]

_SAMPLE_ENTRIES = {
    b"avc1": Codec.H264,
    b"hvc1": Codec.H265,
    b"av01": Codec.AV1,
    b"vp09": Codec.VP9,
    b"Opus": Codec.OPUS,
}
_CODEC_IDS = {b"V_VP8": Codec.VP8, b"V_VP9": Codec.VP9, b"V_AV1": Codec.AV1, b"A_OPUS": Codec.OPUS}
_WAV_HEADER = 58
_WAV_TAG_AT = 20
_WAV_TAGS = {6: Codec.PCMA, 7: Codec.PCMU}
_G711_PACKET = 160


def read_frames(path: Path) -> Iterator[Read]:
    """The frames of a recording that is not finished yet, in the order of the file.

    Streams are numbered as they were written. Payloads are as in `EncodedFrame`; ticks are exact, in WebM to its
    millisecond. A torn piece at the end is left out. Raises NotARecording for other files, OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start = os.pread(fd, 12, 0)
        if start[4:8] == b"ftyp":
            yield from _read_mp4(fd)
        elif start[:4] == ebml.EBML:
            yield from _read_webm(fd)
        elif start[:4] == b"OggS":
            yield from _read_ogg(fd)
        elif start[:4] == b"RIFF":
            yield from _read_wav(fd)
        else:
            raise NotARecording("neither MP4, WebM, Ogg nor WAV")
    finally:
        os.close(fd)


def annex_b(sample: bytes) -> bytes:
    """An MP4 sample (NAL units behind 4-byte lengths, ISO/IEC 14496-15) with start codes instead of lengths."""
    units = bytearray(sample)
    at = 0
    while at + 4 <= len(units):
        length = int.from_bytes(units[at : at + 4], "big")
        units[at : at + 4] = START_CODE
        at += 4 + length
    return bytes(units)


def _frame(codec: Codec, payload: bytes, ticks: int, keyframe: bool = True) -> EncodedFrame:
    return EncodedFrame(codec, payload, ticks, Monotonic(0.0), keyframe)


def _read_mp4(fd: int) -> Iterator[Read]:
    reader = BoxReader(fd)
    codecs: list[Codec] = []
    moof, moof_at = b"", 0
    at, end = 0, os.fstat(fd).st_size
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", reader.read(at, 8))
        if size < 8 or at + size > end:
            return
        if kind == b"moov":
            codecs = _mp4_codecs(reader.read(at, size))
        elif kind == b"moof":
            moof, moof_at = reader.read(at, size), at
        elif kind == b"mdat" and moof:
            yield from _fragment(moof, reader.read(at, size), at - moof_at, codecs)
            moof = b""
        at += size


def _mp4_codecs(moov: bytes) -> list[Codec]:
    codecs: list[Codec] = []
    for kind, start, end in children(moov, 8):
        if kind == b"trak":
            entry = moov.index(b"stsd", start, end) + 16
            codecs.append(_SAMPLE_ENTRIES[moov[entry : entry + 4]])
    return codecs


def _fragment(moof: bytes, mdat: bytes, distance: int, codecs: list[Codec]) -> Iterator[Read]:
    frames: list[Read] = []
    for run in track_runs(moof):
        codec = codecs[run.track - 1]
        at, ticks = run.offset - distance, run.base
        for index, (duration, size) in enumerate(zip(run.durations, run.sizes, strict=True)):
            payload = mdat[at : at + size]
            if codec is Codec.H264 or codec is Codec.H265:
                payload = annex_b(payload)
            frames.append((run.track - 1, _frame(codec, payload, ticks, run.is_sync(index)), ticks))
            at += size
            ticks += duration
    frames.sort(key=lambda read: read[2] / read[1].codec.clock_rate)
    yield from frames


def _read_webm(fd: int) -> Iterator[Read]:
    reader = BoxReader(fd)
    codecs: list[Codec] = []
    at, end = 0, os.fstat(fd).st_size
    while at < end:
        head = reader.read(at, min(12, end - at))
        identifier, size, body = ebml.read_header(head)
        if identifier == ebml.SEGMENT:
            at += body
            continue
        if size is None or at + body + size > end:
            return
        if identifier == ebml.TRACKS:
            codecs = _webm_codecs(reader.read(at + body, size))
        elif identifier == ebml.CLUSTER:
            yield from _cluster(reader.read(at + body, size), codecs)
        at += body + size


def _webm_codecs(tracks: bytes) -> list[Codec]:
    entries = (dict(ebml.elements(entry)) for name, entry in ebml.elements(tracks) if name == ebml.TRACK_ENTRY)
    return [_CODEC_IDS[bytes(entry[ebml.CODEC_ID])] for entry in entries]


def _cluster(cluster: bytes, codecs: list[Codec]) -> Iterator[Read]:
    base = 0
    for name, content in ebml.elements(cluster):
        if name == ebml.TIMESTAMP:
            base = int.from_bytes(content, "big")
        elif name == ebml.SIMPLE_BLOCK:
            track, offset, flags = struct.unpack_from(">BhB", content)
            codec = codecs[(track & 0x7F) - 1]
            ticks = (base + offset) * codec.clock_rate // 1000
            yield (track & 0x7F) - 1, _frame(codec, bytes(content[4:]), ticks, bool(flags & 0x80)), ticks


def _read_ogg(fd: int) -> Iterator[Read]:
    reader = BoxReader(fd)
    at, end = 0, os.fstat(fd).st_size
    while at + 27 <= end:
        magic, granule, segments = struct.unpack("<4s2xq12xB", reader.read(at, 27))
        if magic != b"OggS" or at + 27 + segments > end:
            return
        lacing = reader.read(at + 27, segments)
        body = at + 27 + segments
        at = body + sum(lacing)
        # The first two packets are headers, in pages of granule 0, or -1 where none ends.
        if at > end or granule <= 0:
            continue
        packets: list[bytes] = []
        size = 0
        for value in lacing:
            size += value
            if value < 255:
                packets.append(reader.read(body, size))
                body += size
                size = 0
        ticks = granule - sum(map(opus_ticks, packets))
        for packet in packets:
            yield 0, _frame(Codec.OPUS, packet, ticks), ticks
            ticks += opus_ticks(packet)


def _read_wav(fd: int) -> Iterator[Read]:
    codec = _WAV_TAGS[int.from_bytes(os.pread(fd, 2, _WAV_TAG_AT), "little")]
    assert codec in G711_SILENCE
    ticks = 0
    while samples := os.pread(fd, _G711_PACKET, _WAV_HEADER + ticks):
        yield 0, _frame(codec, samples, ticks), ticks
        ticks += len(samples)
