"""FLAC files (RFC 9639): frames behind STREAMINFO, which is refreshed with every piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.rtp.errors import ProtocolError

_STREAMINFO_BYTES = 34
_STREAMINFO, _VORBIS_COMMENT, _LAST = 0, 4, 0x80
_VENDOR = b"pyegress"
_TOTAL_BITS = 36


class FlacMuxer:
    """Writes one FLAC stream. Frames carry their own numbers: a frame that is missing is a jump in time, no shift."""

    def __init__(self, file: GrowingFile, spec: StreamSpec, header: FileHeader) -> None:
        if len(spec.config) != _STREAMINFO_BYTES:
            raise ProtocolError("FLAC without its STREAMINFO")
        self._file = file
        # Minimum and maximum block size, as the encoder set them; frame sizes follow, the checksum stays unknown.
        self._blocks = spec.config[:4]
        self._format = int.from_bytes(spec.config[10:18], "big") >> _TOTAL_BITS
        self._smallest, self._largest = 0, 0
        self._end = 0
        tags = dict(header.metadata)
        if spec.title:
            tags.setdefault("title", spec.title)
        comments = [f"{name.upper()}={value}".encode() for name, value in tags.items()]
        comment = _counted(_VENDOR) + len(comments).to_bytes(4, "little") + b"".join(map(_counted, comments))
        file.append(
            b"fLaC" + _block(_STREAMINFO, self._stream_info()) + _block(_VORBIS_COMMENT | _LAST, comment[: 1 << 24])
        )

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        samples = batch[0]
        if not samples:
            return
        self._file.append(b"".join(sample.payload for sample in samples))
        sizes = [len(sample.payload) for sample in samples]
        self._smallest = min(self._smallest or sizes[0], *sizes)
        self._largest = max(self._largest, *sizes)
        self._end = samples[-1].pts + samples[-1].duration
        self._file.patch(8, self._stream_info())

    def widen(self, stream: int) -> None:
        raise AssertionError("only Opus streams widen")

    def finish(self) -> None:
        """Nothing is left to do: the header is current."""

    def _stream_info(self) -> bytes:
        """RFC 9639 section 8.2."""
        sizes = self._smallest.to_bytes(3, "big") + self._largest.to_bytes(3, "big")
        total = self._end if self._end < 1 << _TOTAL_BITS else 0
        return self._blocks + sizes + (self._format << _TOTAL_BITS | total).to_bytes(8, "big") + bytes(16)


def _block(kind: int, content: bytes) -> bytes:
    return bytes((kind,)) + len(content).to_bytes(3, "big") + content


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


@dataclass(frozen=True, slots=True)
class LastFrame:
    """Where the last whole frame ends, and the samples of the stream up to there."""

    end: int
    samples: int


def find_frames(data: bytes, block: int, ends: Sequence[int]) -> LastFrame | None:
    """The last whole frame in `data`, the end of a file; `block` is STREAMINFO's block size. None if there is none.

    Frames carry no length: one ends where the next begins, or the file (at one of `ends`), and its checksum tells
    whether that is true.
    """
    ends = list(ends)
    for at, samples in _headers_backwards(data, block):
        for end in ends:
            if at + 2 < end <= len(data) and _crc(data[at : end - 2], 0x8005, 16) == int.from_bytes(
                data[end - 2 : end], "big"
            ):
                return LastFrame(end, samples)
        ends.append(at)
    return None


def stream_info_total(info: bytes, samples: int) -> bytes:
    """STREAMINFO with another number of samples; frame sizes that may not be true any more become unknown."""
    fields = int.from_bytes(info[10:18], "big")
    kept = fields >> _TOTAL_BITS << _TOTAL_BITS | (samples if samples < 1 << _TOTAL_BITS else 0)
    return info if kept == fields else info[:4] + bytes(6) + kept.to_bytes(8, "big") + info[18:]


def _headers_backwards(data: bytes, block: int) -> Iterator[tuple[int, int]]:
    """Where frames may begin, last first, with the samples of the stream to the end of each (RFC 9639 section 9.1)."""
    at = len(data)
    while (at := data.rfind(b"\xff\xf8", 0, at)) >= 0:
        head = data[at : at + 16]
        width = 1 if len(head) > 4 and head[4] < 0x80 else 8 - (~head[4] & 0xFF).bit_length() if len(head) > 4 else 0
        if not 1 <= width <= 7 or width == 7 or len(head) < 5 + width:
            continue
        number = head[4] if width == 1 else head[4] & (0x7F >> width)
        for value in head[5 : 4 + width]:
            number = number << 6 | value & 0x3F
        behind = 4 + width
        code = head[2] >> 4
        size = _block_size(code, head[behind:])
        behind += {6: 1, 7: 2}.get(code, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
        if size and len(head) > behind and _crc(head[:behind], 0x07, 8) == head[behind]:
            yield at, number * block + size


def _block_size(code: int, behind: bytes) -> int:
    """Samples of a frame by the four bits of its header (RFC 9639 section 9.1.1)."""
    match code:
        case 1:
            return 192
        case 2 | 3 | 4 | 5:
            return 144 << code
        case 6:
            return behind[0] + 1 if behind else 0
        case 7:
            return int.from_bytes(behind[:2], "big") + 1
        case 0:
            return 0
        case _:
            return 1 << code


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """A checksum that begins with zero, most significant bit first."""
    value, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
    return value
