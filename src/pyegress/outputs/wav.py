"""WAV with G.711 or 16-bit PCM: a header whose sizes are refreshed with every piece, then the samples."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pyegress.codecs import Codec
from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.muxer import Sample, StreamSpec

#: WAVE_FORMAT_MULAW, WAVE_FORMAT_ALAW (RFC 2361) and WAVE_FORMAT_PCM; and bytes of one sample of one channel.
_FORMATS = {Codec.PCMU: (7, 1), Codec.PCMA: (6, 1), Codec.PCM: (1, 2)}
#: The byte that decodes to (next to) zero (ITU-T G.711).
G711_SILENCE = {Codec.PCMU: b"\xff", Codec.PCMA: b"\xd5"}
HEADER_BYTES = 58
#: RIFF sizes have 32 bits; players take the largest as "to the end of the file". 149 hours of G.711 fit, 6 of PCM.
MAX_SIZE = 0xFFFF_FFFF
_FILL_PIECE = 1 << 20


class WavMuxer:
    """Writes one PCMU, PCMA or PCM stream. A WAV file has no timestamps: time without samples is written as silence."""

    __slots__ = ("_block", "_bytes", "_channels", "_file", "_format", "_rate", "_silence")

    def __init__(self, file: GrowingFile, spec: StreamSpec) -> None:
        self._file = file
        self._format, width = _FORMATS[spec.codec]
        self._channels = spec.channels
        #: Bytes of one sample of all channels, a tick.
        self._block = width * self._channels
        self._rate = spec.clock_rate
        self._silence = G711_SILENCE.get(spec.codec, bytes(self._block))
        self._bytes = 0
        file.append(self._header())

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        pieces: list[bytes] = []
        waiting = 0
        for sample in batch[0]:
            gap = sample.pts - (self._bytes + waiting) // self._block
            while gap > 0:
                ticks = min(gap, _FILL_PIECE // self._block)
                piece = self._silence * ticks
                gap -= ticks
                if waiting + len(piece) > _FILL_PIECE:
                    self._append(pieces)
                    pieces, waiting = [], 0
                pieces.append(piece)
                waiting += len(piece)
            pieces.append(sample.payload)
            waiting += len(sample.payload)
        self._append(pieces)

    def widen(self, stream: int) -> None:
        raise AssertionError("only Opus streams widen")

    def finish(self) -> None:
        if self._bytes % 2:
            self._file.append(b"\x00")  # chunks are padded to even length; the padding is not counted
        self._file.patch(0, self._header())

    def _append(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        self._file.append(data)
        self._bytes += len(data)
        self._file.patch(0, self._header())

    def _header(self) -> bytes:
        size = self._bytes
        padded = size + size % 2
        return struct.pack(
            "<4sI4s4sIHHIIHHH4sII4sI",
            *(b"RIFF", min(HEADER_BYTES - 8 + padded, MAX_SIZE), b"WAVE"),
            *(b"fmt ", 18, self._format, self._channels, self._rate, self._rate * self._block, self._block),
            *(8 * self._block // self._channels, 0),
            *(b"fact", 4, min(size // self._block, MAX_SIZE)),
            *(b"data", min(size, MAX_SIZE)),
        )
