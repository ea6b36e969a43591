"""ISO base media file format (ISO/IEC 14496-12): boxes, headers, and what recording and finishing have in common."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from pyegress.clock import Wall
from pyegress.codecs import Codec

#: Seconds between 1904-01-01, where MP4 times begin, and the Unix epoch.
MP4_EPOCH_OFFSET = 2_082_844_800
#: Track and file durations of an unknown or growing file.
NO_DURATION = 0
_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
#: iTunes names of common tags; every other goes into a freeform item.
_TAG_ATOMS = {
    "title": b"\xa9nam",
    "artist": b"\xa9ART",
    "album": b"\xa9alb",
    "comment": b"\xa9cmt",
    "date": b"\xa9day",
    "encoder": b"\xa9too",
}


def box(kind: bytes, *content: bytes | bytearray) -> bytes:
    """A box with its 32-bit size."""
    size = 8 + sum(map(len, content))
    return b"".join((size.to_bytes(4, "big"), kind, *content))


def full_box(kind: bytes, version: int, flags: int, *content: bytes | bytearray) -> bytes:
    """A box with version and flags."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *content)


def ftyp(codecs: set[Codec], *, fragmented: bool) -> bytes:
    """The file type: brands that a reader must know."""
    brands = [b"iso6", b"iso5", b"mp41"] if fragmented else [b"isom", b"iso2", b"mp41"]
    if Codec.H264 in codecs:
        brands.insert(2, b"avc1")
    if Codec.AV1 in codecs:
        brands.append(b"av01")
    return box(b"ftyp", brands[0], (512).to_bytes(4, "big"), *brands)


def mvhd(created: Wall, timescale: int, duration: int, next_track: int) -> bytes:
    """Movie header; `duration` in ticks of `timescale`."""
    at = round(created) + MP4_EPOCH_OFFSET
    times = struct.pack(">QQIQ", at, at, timescale, duration)
    rate = struct.pack(">IH10x", 0x10000, 0x100)
    return full_box(b"mvhd", 1, 0, times, rate, _MATRIX, bytes(24), struct.pack(">I", next_track))


def tkhd(created: Wall, track: int, duration: int, *, audio: bool, size: tuple[int, int]) -> bytes:
    """Track header; `duration` in ticks of the movie's timescale, `size` in pixels."""
    at = round(created) + MP4_EPOCH_OFFSET
    times = struct.pack(">QQI4xQ", at, at, track, duration)
    place = struct.pack(">8xhhH2x", 0, 0, 0x100 if audio else 0)
    pixels = struct.pack(">II", min(size[0], 0xFFFF) << 16, min(size[1], 0xFFFF) << 16)
    return full_box(b"tkhd", 1, 3, times, place, _MATRIX, pixels)


def mdhd(created: Wall, timescale: int, duration: int, language: str) -> bytes:
    """Media header; `duration` in ticks of `timescale`."""
    at = round(created) + MP4_EPOCH_OFFSET
    letters = language if len(language) == 3 and language.isascii() and language.islower() else "und"
    packed = 0
    for letter in letters:
        packed = packed << 5 | ord(letter) - 0x60
    return full_box(b"mdhd", 1, 0, struct.pack(">QQIQHH", at, at, timescale, duration, packed, 0))


def edit_list(edits: Sequence[tuple[int, int]]) -> bytes:
    """Edits (duration in ticks of the movie, 0 while it grows; media time in ticks of the track, -1 for nothing)."""
    entries = [struct.pack(">Qqhh", duration, media_time, 1, 0) for duration, media_time in edits]
    return box(b"edts", full_box(b"elst", 1, 0, struct.pack(">I", len(entries)), *entries))


def hdlr(kind: bytes, name: str) -> bytes:
    """Handler: `vide`, `soun` or `mdir`."""
    return full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name.encode(), b"\x00")


def media_information(*, audio: bool, sample_table: bytes) -> bytes:
    """`minf`: the media header, the statement that all data is in this file, and the sample table."""
    header = full_box(b"smhd", 0, 0, bytes(4)) if audio else full_box(b"vmhd", 0, 1, bytes(8))
    here = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    return box(b"minf", header, here, sample_table)


def user_data(metadata: Mapping[str, str]) -> bytes:
    """`udta` with tags as players and editors read them; empty without any."""
    if not metadata:
        return b""
    items = []
    for name, value in metadata.items():
        data = box(b"data", struct.pack(">II", 1, 0), value.encode())
        if atom := _TAG_ATOMS.get(name):
            items.append(box(atom, data))
        else:
            mean = full_box(b"mean", 0, 0, b"com.apple.iTunes")
            items.append(box(b"----", mean, full_box(b"name", 0, 0, name.encode()), data))
    handler = full_box(b"hdlr", 0, 0, bytes(4), b"mdir", b"appl", bytes(9))
    return box(b"udta", full_box(b"meta", 0, 0, handler, box(b"ilst", *items)))
