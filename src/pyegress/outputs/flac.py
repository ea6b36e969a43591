"""FLAC files (RFC 9639): frames behind STREAMINFO, which is refreshed with every piece."""

from __future__ import annotations

from collections.abc import Sequence

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
