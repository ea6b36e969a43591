"""MP3 files: plain frames behind one that says how many there are (the Xing/Info header with LAME's extension).

Players seek by it, know the duration and cut off the encoder's priming. It is refreshed with every piece, so a
recording that was killed has it too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.rtp.errors import ProtocolError

#: kbit/s of layer III by index, MPEG-1 and the lower rates of MPEG-2 and 2.5 (ISO/IEC 11172-3 section 2.4.2.3).
_KBPS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44_100, 48_000, 32_000)
#: MPEG version bits of a frame header, and by how much the sample rates are divided.
_VERSIONS = {1: 3, 2: 2, 4: 0}
#: Side information of stereo frames, bytes.
_SIDE_1, _SIDE_2 = 32, 17
#: The tag from its name to its checksum.
_TAG_BYTES = 156
#: A decoder's own delay, which the tag does not count.
DECODER_DELAY = 529
_MAX_12 = 0xFFF


class Mp3Muxer:
    """Writes one stereo MP3 stream. Time without frames is written as silent frames."""

    def __init__(self, file: GrowingFile, spec: StreamSpec, header: FileHeader) -> None:
        self._file = file
        self._priming = spec.priming
        self._header = _FrameHeader(spec.clock_rate, spec.bitrate)
        self._frames = 0
        #: Media bytes, the tag's frame included.
        self._bytes = 0
        self._end = 0
        self._silence = self._header.frame(self._header.index)
        self._tag_at = file.append(_id3(header, spec.title)) if header.metadata or spec.title else 0
        self._tag_at = file.size
        self._append([self._header.frame(self._header.index_for_tag())])
        self._frames = 0

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        pieces: list[bytes] = []
        spf = self._header.samples
        for sample in batch[0]:
            missing = round((sample.pts - (self._frames + len(pieces)) * spf) / spf)
            pieces.extend([self._silence] * missing)
            pieces.append(sample.payload)
            self._end = (self._frames + len(pieces) - 1) * spf + sample.duration
        self._append(pieces)

    def widen(self, stream: int) -> None:
        raise AssertionError("only Opus streams widen")

    def finish(self) -> None:
        """Nothing is left to do: the header is current."""

    def _append(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        self._file.append(data)
        self._frames += len(pieces)
        self._bytes += len(data)
        if self._frames > 1 or self._end:
            self._file.patch(self._tag_at, self._tag())

    def _tag(self) -> bytes:
        """The first frame, which decodes to silence and is skipped by who knows it."""
        frame = bytearray(self._header.frame(self._header.index_for_tag()))
        filling = min(_MAX_12, max(0, self._frames * self._header.samples - self._end) + DECODER_DELAY)
        delay = min(_MAX_12, max(0, self._priming - DECODER_DELAY))
        at = 4 + self._header.side
        toc = bytes(256 * percent // 100 for percent in range(100))
        struct.pack_into(">4sIII100sI", frame, at, b"Info", 0x0F, self._frames, self._bytes, toc, 0)
        lame = struct.pack(
            ">9sBB8xBB3sBBHIH",
            *(b"LAME3.100", 1, 0, 0, min(255, self._header.kbps)),
            *((delay << 12 | filling).to_bytes(3, "big"), 0, 0, 0, min(self._bytes, 0xFFFF_FFFF), 0),
        )
        frame[at + 120 : at + 120 + len(lame)] = lame
        end = at + 120 + len(lame)
        frame[end : end + 2] = lame_crc(frame[:end]).to_bytes(2, "big")
        return bytes(frame)


class _FrameHeader:
    """Builds frames of the stream's kind without sound in them."""

    def __init__(self, rate: int, bitrate: int) -> None:
        self._division = next((n for n in _VERSIONS if rate * n in _RATES), 0)
        if not self._division:
            raise ProtocolError(f"MP3 has no sample rate of {rate} Hz")
        self._rate_index = _RATES.index(rate * self._division)
        self._rate = rate
        self._kbps = _KBPS_1 if self._division == 1 else _KBPS_2
        self.samples = 1152 if self._division == 1 else 576
        self.side = _SIDE_1 if self._division == 1 else _SIDE_2
        nearest = min(self._kbps[1:], key=lambda kbps: abs(kbps * 1000 - bitrate))
        self.index = self._kbps.index(nearest)
        self.kbps = nearest

    def frame(self, index: int) -> bytes:
        """A frame of the bit rate `index` with empty side information: silence."""
        second = 0xE0 | _VERSIONS[self._division] << 3 | 0x03  # layer III, no checksum
        header = bytes((0xFF, second, index << 4 | self._rate_index << 2, 0x00))
        return header + bytes(self._size(index) - 4)

    def index_for_tag(self) -> int:
        """The lowest bit rate, from the stream's on, whose frames have room for the tag."""
        needed = 4 + self.side + _TAG_BYTES
        return next(index for index in range(self.index, len(self._kbps)) if self._size(index) >= needed)

    def _size(self, index: int) -> int:
        return self.samples // 8 * self._kbps[index] * 1000 // self._rate


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame that was read: bytes, samples, Hz, bytes of its side information."""

    size: int
    samples: int
    rate: int
    side: int


def frame_of(head: bytes) -> FoundFrame | None:
    """The frame of layer III that begins with these four bytes (ISO/IEC 11172-3 section 2.4.1.3); None if none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    division = next((division for division, bits in _VERSIONS.items() if bits == head[1] >> 3 & 3), 0)
    index, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if not division or not 0 < index < len(_KBPS_1) or rate_index >= len(_RATES):
        return None
    samples, kbps, side = (1152, _KBPS_1, _SIDE_1) if division == 1 else (576, _KBPS_2, _SIDE_2)
    rate = _RATES[rate_index] // division
    return FoundFrame(samples // 8 * kbps[index] * 1000 // rate + (head[2] >> 1 & 1), samples, rate, side)


def _id3(header: FileHeader, title: str) -> bytes:
    """ID3v2.4 with the tags that there are (id3.org, 2.4.0 structure section 3)."""
    names = {"title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "date": b"TDRC", "encoder": b"TSSE"}
    tags = dict(header.metadata)
    if title:
        tags.setdefault("title", title)
    frames = bytearray()
    for name, value in tags.items():
        if identifier := names.get(name):
            body = b"\x03" + value.encode()
        else:
            identifier, body = b"TXXX", b"\x03" + name.encode() + b"\x00" + value.encode()
        frames += identifier + _synchsafe(len(body)) + bytes(2) + body
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + bytes(frames)


def _synchsafe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def lame_crc(data: bytes | bytearray) -> int:
    """CRC-16 with the polynomial 0x8005, reflected, as LAME's tag has it."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
