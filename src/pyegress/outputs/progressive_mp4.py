"""The ordinary MP4 that a finished recording becomes: movie header in front, one block of media data behind it.

That block holds what was recorded unchanged, the `moof` boxes between the media included, which nobody looks at any
more: they are 4 MB per hour, and so what was recorded may be sent to a storage before the header is known.

It is copied once, by the kernel, into a hidden file beside the recording, which then takes its name: at any moment the
name leads to a file that plays.
"""

from __future__ import annotations

import errno
import math
import os
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from pyegress.outputs.boxes import box, edit_list, full_box
from pyegress.outputs.disk import temporary_beside, write_all
from pyegress.outputs.fragment_reader import Fragments, NotARecording, TrackTable, children, read_fragments
from pyegress.outputs.opus import CONVERGENCE

#: Bytes of a header: built ones, and tables that stay arrays.
Part: TypeAlias = "bytes | array[int]"

_MAX_32 = 0xFFFF_FFFF
#: No sample needs more than this in the tables.
_MOST_PER_SAMPLE = 40
_NO_COPY_HERE = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})
_PIECE = 1 << 20
#: What a file system wants free beside the file itself.
_SPARE_BYTES = 1 << 20
#: Where version 1 boxes keep their duration, behind version and flags.
_MVHD_TIMESCALE, _TKHD_DURATION, _MDHD_TIMESCALE = 20, 28, 20
#: Where the first edit has its media time, from the start of the content of `edts`.
_ELST_MEDIA_TIME = 8 + 8 + 8


def finish_mp4(source: int, path: Path) -> None:
    """Replace the fragmented recording at `path`, open as `source`, by an ordinary MP4.

    Raises OSError (nothing is changed then) and NotARecording. Costs one sequential copy and the memory of the sample
    tables: at most 16 bytes per video frame, about 4 per audio packet.
    """
    fragments = read_fragments(source)
    header = _Header(fragments)
    _check_space(source, header.size + fragments.total)
    temporary = temporary_beside(path)
    target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            header.write(target)
            _copy(source, target, fragments.start, fragments.total)
            os.fchmod(target, os.fstat(source).st_mode & 0o7777)
            # Renaming before the bytes are down could leave an empty file after a power cut.
            os.fdatasync(target)
        finally:
            os.close(target)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def media_start(fd: int) -> int:
    """Where what stays begins in an MP4, finished or not: everything behind is the same in both. Raises OSError."""
    at = 0
    while (head := os.pread(fd, 16, at)) and len(head) == 16:
        size, kind = struct.unpack_from(">I4s", head)
        if kind == b"mdat" and size == 1:
            return at + 16
        if size < 8 or kind not in (b"ftyp", b"moov"):
            break
        at += size
    return at


def fragments_end(source: int) -> float:
    """Seconds that a fragmented recording plays, 0.0 if it holds nothing. Raises OSError and NotARecording."""
    fragments = read_fragments(source)
    traks = [fragments.moov[start:end] for kind, start, end in children(fragments.moov, 8) if kind == b"trak"]
    tables = (fragments.tracks.get(number + 1, TrackTable()) for number in range(len(traks)))
    ends = [
        (table.first + table.duration - _priming(trak), _scale(trak)) for trak, table in zip(traks, tables, strict=True)
    ]
    return max((ticks / scale for ticks, scale in ends), default=0.0)


class _Header:
    """Everything in front of the media data, in pieces: tables stay arrays, so that long ones are never copied."""

    def __init__(self, fragments: Fragments) -> None:
        moov = _parts(fragments.moov[8:])
        traks = [fragments.moov[start:end] for kind, start, end in children(fragments.moov, 8) if kind == b"trak"]
        scales = [_scale(trak) for trak in traks]
        # Track times must be exact in the movie's timescale, or start offsets would be rounded.
        timescale = math.lcm(*scales)
        samples = sum(len(table.sizes) for table in fragments.tracks.values())
        wide = fragments.total + len(fragments.moov) + _MOST_PER_SAMPLE * samples > _MAX_32
        self._places: list[tuple[array[int], array[int]]] = []
        parts: list[Part] = []
        duration = 0
        for number, (trak, scale) in enumerate(zip(traks, scales, strict=True)):
            table = fragments.tracks.get(number + 1, TrackTable())
            duration = max(duration, (table.first + table.duration - _priming(trak)) * (timescale // scale))
            places = array("Q" if wide else "I", bytes((8 if wide else 4) * len(table.chunks)))
            self._places.append((places, table.chunks))
            parts += _trak(trak, table, timescale // scale, places)
        mvhd = bytearray(moov[b"mvhd"])
        struct.pack_into(">IQ", mvhd, _MVHD_TIMESCALE, timescale, duration)
        tags = [box(b"udta", moov[b"udta"])] if b"udta" in moov else []
        mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + fragments.total)
        self._parts = [_ordinary_ftyp(fragments.ftyp), *_nest(b"moov", [box(b"mvhd", mvhd), *parts, *tags]), mdat]
        self.size = sum(map(_bytes_of, self._parts))
        for places, chunks in self._places:
            for index, chunk in enumerate(chunks):
                places[index] = self.size + chunk
            _to_big_endian(places)

    def write(self, target: int) -> None:
        """Write file type, movie header and the start of the media data."""
        waiting = bytearray()
        for part in self._parts:
            waiting += memoryview(part).cast("B")
            if len(waiting) >= _PIECE:
                write_all(target, waiting)
                waiting.clear()
        write_all(target, waiting)


def _nest(kind: bytes, parts: Sequence[Part]) -> list[Part]:
    """A box around `parts`, without copying them."""
    return [(8 + sum(map(_bytes_of, parts))).to_bytes(4, "big") + kind, *parts]


def _bytes_of(part: Part) -> int:
    return len(part) * (part.itemsize if isinstance(part, array) else 1)


def _to_big_endian(values: array[int]) -> array[int]:
    if sys.byteorder == "little":
        values.byteswap()
    return values


def _ordinary_ftyp(fragmented: bytes) -> bytes:
    codecs = [brand for brand in (b"avc1", b"av01") if brand in fragmented]
    return box(b"ftyp", b"isom", (512).to_bytes(4, "big"), b"isom", b"iso2", *codecs, b"mp41")


def _parts(content: bytes) -> dict[bytes, bytes]:
    return {kind: content[start:end] for kind, start, end in children(content)}


def _scale(trak: bytes) -> int:
    mdhd = _parts(_parts(trak)[b"mdia"])[b"mdhd"]
    (scale,) = struct.unpack_from(">I", mdhd, _MDHD_TIMESCALE)
    if not scale:
        raise NotARecording("track without a timescale")
    return int(scale)


def _trak(content: bytes, table: TrackTable, factor: int, places: array[int]) -> list[Part]:
    trak = _parts(content)
    mdia = _parts(trak[b"mdia"])
    minf = _parts(mdia[b"minf"])
    stsd = _parts(minf[b"stbl"])[b"stsd"]
    tkhd, mdhd = bytearray(trak[b"tkhd"]), bytearray(mdia[b"mdhd"])
    priming = _priming(content)
    struct.pack_into(">Q", tkhd, _TKHD_DURATION, max(0, table.first + table.duration - priming) * factor)
    struct.pack_into(">Q", mdhd, _MDHD_TIMESCALE + 4, table.duration)
    kind = b"vmhd" if b"vmhd" in minf else b"smhd"
    edits = _edits(table, factor, priming)
    tables = _sample_table(table, places, video=kind == b"vmhd", roll=_roll(stsd, table))
    stbl = _nest(b"stbl", [box(b"stsd", stsd), *tables])
    information = _nest(b"minf", [box(kind, minf[kind]), box(b"dinf", minf[b"dinf"]), *stbl])
    media = _nest(b"mdia", [box(b"mdhd", mdhd), box(b"hdlr", mdia[b"hdlr"]), *information])
    return _nest(b"trak", [box(b"tkhd", tkhd), edits, *media])


def _priming(trak: bytes) -> int:
    """Ticks that the recording's edit list skips at the start."""
    edits = _parts(trak).get(b"edts")
    if edits is None:
        return 0
    (media_time,) = struct.unpack_from(">q", edits, _ELST_MEDIA_TIME)
    return int(media_time)


def _edits(table: TrackTable, factor: int, priming: int) -> bytes:
    """A track that begins late begins with an empty edit; priming is cut off (ISO/IEC 14496-12 section 8.6.6)."""
    if not table.sizes or not (table.first or priming):
        return b""
    late = [(table.first * factor, -1)] if table.first else []
    return edit_list([*late, (max(0, table.duration - priming) * factor, priming)])


def _roll(stsd: bytes, table: TrackTable) -> int:
    """Samples that a decoder must be given before the one that it is to play; 0 where any can be the first."""
    if not table.sizes:
        return 0
    if b"Opus" in stsd:
        # 80 ms (Encapsulation of Opus in ISO Base Media File Format section 4.3.6.2).
        return max(1, math.ceil(CONVERGENCE / max(1, table.runs[1])))
    return 1 if b"mp4a" in stsd else 0


def _sample_table(table: TrackTable, places: array[int], *, video: bool, roll: int) -> list[Part]:
    parts: list[Part] = []
    if roll:
        parts.append(full_box(b"sgpd", 1, 0, struct.pack(">4sIIh", b"roll", 2, 1, -roll)))
        parts.append(full_box(b"sbgp", 0, 0, struct.pack(">4sIII", b"roll", 1, len(table.sizes), 1)))
    parts += _table(b"stts", len(table.runs) // 2, table.runs)
    if video:
        parts += _table(b"stss", len(table.syncs), table.syncs)
    parts += _table(b"stsc", len(table.chunk_runs) // 3, table.chunk_runs)
    parts += _table(b"stsz", len(table.sizes), table.sizes, before=bytes(4))
    # The places are known once the size of everything here is; the array is filled in then.
    parts += _table(b"co64" if places.itemsize == 8 else b"stco", len(places), places, swap=False)
    return parts


def _table(kind: bytes, count: int, values: array[int], *, before: bytes = b"", swap: bool = True) -> list[Part]:
    start = bytes(4) + before + count.to_bytes(4, "big")
    return _nest(kind, [start, _to_big_endian(values) if swap else values])


def _check_space(source: int, needed: int) -> None:
    """Fail before the copy rather than after most of it."""
    disk = os.fstatvfs(source)
    if disk.f_bavail * disk.f_frsize < needed + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _copy(source: int, target: int, offset: int, length: int) -> None:
    """Copy a range to the target's position inside the kernel, where it can share blocks or at least skip us."""
    end = offset + length
    while offset < end:
        copied = _copy_piece(source, target, offset, end - offset)
        if not copied:
            raise OSError(errno.EIO, "the recording ended while it was copied")
        offset += copied


def _copy_piece(source: int, target: int, offset: int, length: int) -> int:
    methods: tuple[Callable[[], int], ...] = (
        lambda: os.copy_file_range(source, target, length, offset_src=offset),
        lambda: os.sendfile(target, source, offset, length),
    )
    for method in methods:
        try:
            return method()
        except OSError as error:
            if error.errno not in _NO_COPY_HERE:
                raise
    data = os.pread(source, min(length, _PIECE), offset)
    write_all(target, data)
    return len(data)
