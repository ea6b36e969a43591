"""MPEG-2 transport stream segments (ISO/IEC 13818-1): PAT, PMT, PES, PCR. Only bytes.

H.264 and H.265 with access unit delimiters and parameter sets at every key frame, AAC as ADTS, MP3. Decoding order is
the order of display: nothing here makes B-frames.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from heapq import merge

from pyegress.codecs import Codec, Kind
from pyegress.outputs.hls.adts import adts_header
from pyegress.outputs.muxer import Sample, StreamSpec
from pyegress.rtp.codec_config import (
    START_CODE,
    h264_parameter_sets,
    h264_type,
    h265_parameter_sets,
    h265_type,
)

PACKET = 188
CLOCK = 90_000
#: Second 0 of the output on the stream's clock: what lies before it (priming), and the PCR, stay positive.
ORIGIN = 10 * CLOCK
#: By how much the clock reference is behind the frame that comes with it: the decoder's buffer.
_PCR_LEAD = 7 * CLOCK // 10
#: Ticks between clock references of sound alone; 0.1 s is the most that section 2.7.2 allows.
_PCR_INTERVAL = CLOCK // 20
_PCR_WRAP = 1 << 33

_PAT_PID, _PMT_PID, _FIRST_PID = 0, 0x1000, 0x100
_PROGRAM = 1
#: stream_type (table 2-34), and descriptors that say what the type alone does not.
_STREAM_TYPES: dict[Codec, tuple[int, bytes]] = {
    Codec.H264: (0x1B, b""),
    Codec.H265: (0x24, b"\x05\x04HEVC"),
    Codec.AAC: (0x0F, b""),
    Codec.MP3: (0x03, b""),
}
CODECS = frozenset(_STREAM_TYPES)
#: MPEG-1 audio ends here; lower rates are MPEG-2 audio.
_MPEG1_RATE, _MPEG2_AUDIO = 32_000, 0x04
#: Access unit delimiters: H.264 section 7.3.2.4 and H.265 section 7.3.2.5, any kind of picture.
_DELIMITERS = {Codec.H264: START_CODE + b"\x09\xf0", Codec.H265: START_CODE + b"\x46\x01\x50"}
_H264_AUD, _H265_AUD = 9, 35


class MpegTs:
    """One stream over all segments of an output: continuity counters go on from segment to segment."""

    def __init__(self, specs: Sequence[StreamSpec]) -> None:
        self._streams = [_Elementary(spec, _FIRST_PID + index) for index, spec in enumerate(specs)]
        self._clock = next((s for s in self._streams if s.video), self._streams[0])
        self._pat = _section(0x00, _PROGRAM, struct.pack(">HH", _PROGRAM, 0xE000 | _PMT_PID))
        entries = b"".join(stream.entry for stream in self._streams)
        self._pmt = _section(0x02, _PROGRAM, struct.pack(">HH", 0xE000 | self._clock.pid, 0xF000) + entries)
        self._tables = 0
        self._last_pcr = -CLOCK

    @property
    def header(self) -> bytes:
        """There is no initialization segment: each segment begins with the tables."""
        return b""

    def begin_segment(self) -> bytes:
        """The tables that each segment begins with."""
        counter = self._tables & 0xF
        self._tables += 1
        # The first clock reference of a segment belongs to its first frame.
        self._last_pcr = -CLOCK
        return _table(_PAT_PID, counter, self._pat) + _table(_PMT_PID, counter, self._pmt)

    def piece(self, batch: Sequence[Sequence[Sample]]) -> bytes:
        """The samples of each stream, in the order of their time."""
        queues = [
            [(stream.ticks(sample.pts), stream.pid, sample) for sample in samples]
            for stream, samples in zip(self._streams, batch, strict=True)
        ]
        parts: list[bytes] = []
        for ticks, pid, sample in merge(*queues, key=lambda entry: entry[:2]):
            stream = self._streams[pid - _FIRST_PID]
            pcr = None
            if stream is self._clock and (stream.video or ticks - self._last_pcr >= _PCR_INTERVAL):
                self._last_pcr = ticks
                pcr = ticks - _PCR_LEAD
            stream.write(parts, sample, ticks, pcr)
        return b"".join(parts)


class _Elementary:
    """One elementary stream in packets of its PID."""

    def __init__(self, spec: StreamSpec, pid: int) -> None:
        self.pid = pid
        self.video = spec.codec.kind is Kind.VIDEO
        self._spec = spec
        self._codec = spec.codec
        self._counter = 0
        #: Packet headers by continuity counter: payload only; adaptation field and payload.
        self._plain = [struct.pack(">BHB", 0x47, pid, 0x10 | counter) for counter in range(16)]
        self._adapted = [struct.pack(">BHB", 0x47, pid, 0x30 | counter) for counter in range(16)]
        self._starting = struct.pack(">BH", 0x47, 0x4000 | pid)
        self._parameter_sets = _parameter_sets(spec.codec, spec.first.payload)
        kind, descriptors = _STREAM_TYPES[spec.codec]
        if spec.codec is Codec.MP3 and spec.clock_rate < _MPEG1_RATE:
            kind = _MPEG2_AUDIO
        self.entry = struct.pack(">BHH", kind, 0xE000 | pid, 0xF000 | len(descriptors)) + descriptors

    def ticks(self, pts: int) -> int:
        """A sample's time on the clock of the transport stream."""
        return ORIGIN + round((pts - self._spec.priming) * CLOCK / self._spec.clock_rate)

    def write(self, parts: list[bytes], sample: Sample, ticks: int, pcr: int | None) -> None:
        """Append the packets of one access unit."""
        payload = self._access_unit(sample)
        # Pictures are longer than the length field can say, and may leave it open.
        length = 0 if self.video else len(payload) + 8
        stamp = _timestamp(ticks)
        data = struct.pack(">IHBBB", 0x1E0 if self.video else 0x1C0, length, 0x84, 0x80, 5) + stamp + payload
        adaptation = b""
        if pcr is not None or (self.video and sample.keyframe):
            flags = (0x40 if sample.keyframe else 0) | (0x10 if pcr is not None else 0)
            adaptation = bytes((flags,)) + (_clock_reference(pcr) if pcr is not None else b"")
        counter = self._counter
        room = PACKET - 4 - (len(adaptation) + 1 if adaptation else 0)
        if stuffing := room - len(data) if len(data) < room else 0:
            adaptation = _stuffed(adaptation, stuffing)
        parts.append(self._starting)
        if adaptation or stuffing:
            parts.append(bytes((0x30 | counter, len(adaptation))))
            parts.append(adaptation)
        else:
            parts.append(bytes((0x10 | counter,)))
        parts.append(data[:room])
        counter = (counter + 1) & 0xF
        at, end = room, len(data)
        plain = self._plain
        while end - at >= PACKET - 4:
            parts.append(plain[counter])
            parts.append(data[at : at + PACKET - 4])
            at += PACKET - 4
            counter = (counter + 1) & 0xF
        if at < end:
            filler = _stuffed(b"", PACKET - 4 - (end - at))
            parts.append(self._adapted[counter])
            parts.append(bytes((len(filler),)))
            parts.append(filler)
            parts.append(data[at:])
            counter = (counter + 1) & 0xF
        self._counter = counter

    def _access_unit(self, sample: Sample) -> bytes:
        payload = sample.payload
        if self._codec is Codec.AAC:
            return adts_header(self._spec.config, len(payload)) + payload
        if not self.video:
            return payload
        delimiter = _DELIMITERS[self._codec]
        if sample.keyframe:
            # Whoever begins with a later segment needs them there.
            if found := _parameter_sets(self._codec, payload):
                self._parameter_sets = found
            else:
                delimiter += self._parameter_sets
        if self._codec is Codec.H264:
            return payload if h264_type(payload[4:5]) == _H264_AUD else delimiter + payload
        return payload if h265_type(payload[4:5]) == _H265_AUD else delimiter + payload


def _stuffed(adaptation: bytes, missing: int) -> bytes:
    """The content of an adaptation field that takes `missing` bytes more, its length byte counted if it has none."""
    if adaptation:
        return adaptation + b"\xff" * missing
    return b"\x00" + b"\xff" * (missing - 2) if missing >= 2 else b""


def _parameter_sets(codec: Codec, payload: bytes) -> bytes:
    """Those of an access unit as a byte stream; empty if it has not all of them."""
    if codec is Codec.H264:
        groups: Sequence[Sequence[bytes]] = h264_parameter_sets(payload)
    elif codec is Codec.H265:
        groups = h265_parameter_sets(payload)
    else:
        return b""
    return b"".join(START_CODE + nal for group in groups for nal in group) if all(groups) else b""


def _timestamp(ticks: int) -> bytes:
    """A presentation time alone (section 2.4.3.6): 33 bits with marker bits between."""
    t = ticks % _PCR_WRAP
    return bytes(
        (0x21 | t >> 29 & 0x0E, t >> 22 & 0xFF, t >> 14 & 0xFE | 1, t >> 7 & 0xFF, t << 1 & 0xFE | 1),
    )


def _clock_reference(ticks: int) -> bytes:
    """program_clock_reference (section 2.4.3.4), its extension at 27 MHz 0."""
    t = ticks % _PCR_WRAP
    return struct.pack(">IBB", t >> 1, (t & 1) << 7 | 0x7E, 0)


def _section(table: int, number: int, content: bytes) -> bytes:
    """A section of program specific information, which is always current and never changes (section 2.4.4)."""
    head = struct.pack(">BHHBBB", table, 0xB000 | len(content) + 9, number, 0xC1, 0, 0)
    data = head + content
    return data + struct.pack(">I", _crc(data))


def _table(pid: int, counter: int, section: bytes) -> bytes:
    """A section alone in a packet."""
    packet = struct.pack(">BHBB", 0x47, 0x4000 | pid, 0x10 | counter, 0) + section
    return packet + b"\xff" * (PACKET - len(packet))


@cache
def _crc(data: bytes) -> int:
    """CRC-32 of MPEG-2 (annex A): most significant bit first, nothing inverted."""
    value = 0xFFFF_FFFF
    for octet in data:
        value ^= octet << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C1_1DB7 if value & 0x8000_0000 else value << 1) & 0xFFFF_FFFF
    return value
