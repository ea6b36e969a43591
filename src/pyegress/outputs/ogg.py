"""Ogg with Opus (RFC 3533, RFC 7845): pages of at most half a second, each with its place in time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.outputs.opus import opus_head, opus_ticks

_CONTINUED, _FIRST, LAST = 0x01, 0x02, 0x04
_MAX_SEGMENTS = 255
_VENDOR = b"pyegress"
#: Bits of every byte reversed: Ogg's CRC is zlib's polynomial with the bits in the other order (RFC 3533 section 6).
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def ogg_crc(page: bytes | bytearray) -> int:
    """The checksum of a page whose checksum field is zero."""
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")


def ogg_page(packets: Sequence[bytes], *, flags: int, granule: int, serial: int, sequence: int) -> bytes:
    """One page that holds whole packets."""
    lacing = bytearray()
    for packet in packets:
        lacing += b"\xff" * (len(packet) // 255)
        lacing.append(len(packet) % 255)
    header = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, sequence, 0, len(lacing))
    page = bytearray(b"".join((header, lacing, *packets)))
    page[22:26] = ogg_crc(page).to_bytes(4, "little")
    return bytes(page)


class OggOpusMuxer:
    """Writes one Opus stream. Granule positions are the file's clock: a gap that nobody filled is a jump in them."""

    __slots__ = ("_channels", "_file", "_last_page", "_last_page_at", "_position", "_pre_skip", "_sequence", "_serial")

    def __init__(self, file: GrowingFile, spec: StreamSpec, header: FileHeader) -> None:
        self._file = file
        self._channels = spec.channels
        self._pre_skip = spec.priming
        self._serial = int(header.created * 1000) & 0x7FFF_FFFF
        self._sequence = 0
        self._position = 0
        self._last_page = b""
        self._last_page_at = 0
        head = self._page([opus_head(self._channels, self._pre_skip)], _FIRST, 0)
        file.append(head + self._comment_pages(spec, header))

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        out: list[bytes] = []
        packets: list[bytes] = []
        segments = 0
        last_at = 0
        before = self._position, self._sequence
        try:
            for sample in batch[0]:
                needed = len(sample.payload) // 255 + 1
                if packets and (sample.pts > self._position or segments + needed > _MAX_SEGMENTS):
                    out.append(self._page(packets, 0, self._position))
                    last_at += len(out[-1])
                    packets, segments = [], 0
                # The granule of a page is the end of its last packet, so a page never spans a jump.
                self._position = max(self._position, sample.pts) + self._ticks(sample)
                packets.append(sample.payload)
                segments += needed
            if packets:
                out.append(self._page(packets, 0, self._position))
                self._last_page_at = self._file.append(b"".join(out)) + last_at
                self._last_page = out[-1]
        except OSError:
            self._position, self._sequence = before
            raise

    def widen(self, stream: int) -> None:
        self._channels = 2
        page = ogg_page([opus_head(2, self._pre_skip)], flags=_FIRST, granule=0, serial=self._serial, sequence=0)
        self._file.patch(0, page)

    def finish(self) -> None:
        """Mark the last page as the end of the stream."""
        if not self._last_page:
            return
        page = bytearray(self._last_page)
        page[5] |= LAST
        page[22:26] = bytes(4)
        page[22:26] = ogg_crc(page).to_bytes(4, "little")
        self._file.patch(self._last_page_at, page[:27])

    def _ticks(self, sample: Sample) -> int:
        """How far a packet moves the position; an encoder's last one by less than it holds (RFC 7845 section 4.4)."""
        ticks = opus_ticks(sample.payload)
        return min(ticks, sample.duration) if self._pre_skip else ticks

    def _page(self, packets: Sequence[bytes], flags: int, granule: int) -> bytes:
        page = ogg_page(packets, flags=flags, granule=granule, serial=self._serial, sequence=self._sequence)
        self._sequence += 1
        return page

    def _comment_pages(self, spec: StreamSpec, header: FileHeader) -> bytes:
        tags = dict(header.metadata)
        if spec.title:
            tags.setdefault("title", spec.title)
        comments = [f"{name.upper()}={value}".encode() for name, value in tags.items()]
        body = b"OpusTags" + _counted(_VENDOR) + len(comments).to_bytes(4, "little") + b"".join(map(_counted, comments))
        # A packet of any length: full pages first (granule -1: no packet ends there), the rest in a last one.
        pages = bytearray()
        chunk = 255 * _MAX_SEGMENTS
        flags = 0
        while len(body) >= chunk:
            pages += self._full_page(body[:chunk], flags)
            body = body[chunk:]
            flags = _CONTINUED
        return bytes(pages) + self._page([body], flags, 0)

    def _full_page(self, body: bytes, flags: int) -> bytes:
        lacing = b"\xff" * _MAX_SEGMENTS
        start = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, -1, self._serial, self._sequence, 0, _MAX_SEGMENTS)
        page = bytearray(start + lacing + body)
        page[22:26] = ogg_crc(page).to_bytes(4, "little")
        self._sequence += 1
        return bytes(page)


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data
