"""The ordinary MP4 that a finished recording becomes: movie header in front, one block of media data behind it.

The media is copied once, by the kernel, into a hidden file beside the recording, which then takes its name: at any
moment the name leads to a file that plays.
"""

from __future__ import annotations

import errno
import math
import os
import struct
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pyegress.outputs.boxes import box, full_box
from pyegress.outputs.disk import temporary_beside, write_all
from pyegress.outputs.fragment_reader import Fragments, NotARecording, TrackTable, children, read_fragments
from pyegress.outputs.opus import CONVERGENCE

_MAX_32 = 0xFFFF_FFFF
_NO_COPY_HERE = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})
_PIECE = 1 << 20
#: What a file system wants free beside the file itself.
_SPARE_BYTES = 1 << 20
#: Where version 1 boxes keep their duration, behind version and flags.
_MVHD_TIMESCALE, _TKHD_DURATION, _MDHD_TIMESCALE = 20, 28, 20


def finish_mp4(source: int, path: Path) -> None:
    """Replace the fragmented recording at `path`, open as `source`, by an ordinary MP4.

    Raises OSError (nothing is changed then) and NotARecording. Costs one sequential copy and about 12 bytes of memory
    per video frame, 4 per Opus packet.
    """
    fragments = read_fragments(source)
    header = _Header(fragments)
    _check_space(source, header.size + fragments.total)
    temporary = temporary_beside(path)
    target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            header.write(target)
            for offset, length in zip(fragments.offsets, fragments.lengths, strict=True):
                _copy(source, target, offset, length)
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


class _Header:
    """Everything in front of the media data: its size is known before its offsets are."""

    def __init__(self, fragments: Fragments) -> None:
        self._fragments = fragments
        self._moov = dict[bytes, bytes]()
        self._traks: list[bytes] = []
        for kind, start, end in children(fragments.moov, 8):
            if kind == b"trak":
                self._traks.append(fragments.moov[start:end])
            else:
                self._moov[kind] = fragments.moov[start:end]
        scales = [_scale(trak) for trak in self._traks]
        #: Track times must be exact in the movie's timescale, or start offsets would be rounded.
        self._timescale = math.lcm(*scales)
        wide = fragments.total + len(fragments.moov) + 64 * sum(len(t.sizes) for t in fragments.tracks.values())
        self._wide = wide > _MAX_32
        self.size = len(self._build(0))

    def write(self, target: int) -> None:
        """Write file type, movie header and the start of the media data."""
        write_all(target, self._build(self.size))

    def _build(self, media: int) -> bytes:
        durations: list[int] = []
        traks: list[bytes] = []
        for number, (content, scale) in enumerate(zip(self._traks, map(_scale, self._traks), strict=True)):
            table = self._fragments.tracks.get(number + 1, TrackTable())
            factor = self._timescale // scale
            durations.append((table.first + table.duration) * factor)
            traks.append(_trak(content, table, factor, media, wide=self._wide))
        mvhd = bytearray(self._moov[b"mvhd"])
        struct.pack_into(">IQ", mvhd, _MVHD_TIMESCALE, self._timescale, max(durations, default=0))
        tags = box(b"udta", self._moov[b"udta"]) if b"udta" in self._moov else b""
        moov = box(b"moov", box(b"mvhd", mvhd), *traks, tags)
        mdat = struct.pack(">I4sQ", 1, b"mdat", 16 + self._fragments.total)
        return _ordinary_ftyp(self._fragments.ftyp) + moov + mdat


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


def _trak(content: bytes, table: TrackTable, factor: int, media: int, *, wide: bool) -> bytes:
    trak = _parts(content)
    mdia = _parts(trak[b"mdia"])
    minf = _parts(mdia[b"minf"])
    stsd = _parts(minf[b"stbl"])[b"stsd"]
    tkhd, mdhd = bytearray(trak[b"tkhd"]), bytearray(mdia[b"mdhd"])
    struct.pack_into(">Q", tkhd, _TKHD_DURATION, (table.first + table.duration) * factor)
    struct.pack_into(">Q", mdhd, _MDHD_TIMESCALE + 4, table.duration)
    header = minf.get(b"vmhd")
    video = header is not None
    information = box(
        b"minf",
        box(b"vmhd", header) if header is not None else box(b"smhd", minf[b"smhd"]),
        box(b"dinf", minf[b"dinf"]),
        box(b"stbl", box(b"stsd", stsd), *_sample_table(table, media, video=video, wide=wide, opus=b"Opus" in stsd)),
    )
    return box(
        b"trak",
        box(b"tkhd", tkhd),
        _edits(table, factor),
        box(b"mdia", box(b"mdhd", mdhd), box(b"hdlr", mdia[b"hdlr"]), information),
    )


def _edits(table: TrackTable, factor: int) -> bytes:
    """A track that begins late begins with an empty edit (ISO/IEC 14496-12 section 8.6.6)."""
    if not table.first or not table.sizes:
        return b""
    empty = struct.pack(">Qqhh", table.first * factor, -1, 1, 0)
    whole = struct.pack(">Qqhh", table.duration * factor, 0, 1, 0)
    return box(b"edts", full_box(b"elst", 1, 0, struct.pack(">I", 2), empty, whole))


def _sample_table(table: TrackTable, media: int, *, video: bool, wide: bool, opus: bool) -> list[bytes]:
    runs = array("I", bytes(8 * len(table.counts)))
    runs[0::2], runs[1::2] = table.counts, table.deltas
    boxes = [full_box(b"stts", 0, 0, _count(table.counts), _big_endian(runs))]
    if video:
        boxes.append(full_box(b"stss", 0, 0, _count(table.syncs), _big_endian(table.syncs)))
    boxes.append(full_box(b"stsc", 0, 0, struct.pack(">I", len(table.chunk_runs) // 3), _big_endian(table.chunk_runs)))
    boxes.append(full_box(b"stsz", 0, 0, bytes(4), _count(table.sizes), _big_endian(table.sizes)))
    places = array("Q" if wide else "I", (media + place for place in table.chunks))
    boxes.append(full_box(b"co64" if wide else b"stco", 0, 0, _count(places), _big_endian(places)))
    if opus and table.sizes:
        # Opus decoders need 80 ms of roll (Encapsulation of Opus in ISO Base Media File Format section 4.3.6.2).
        distance = -max(1, math.ceil(CONVERGENCE / max(1, table.deltas[0])))
        entry = struct.pack(">4sIIh", b"roll", 2, 1, distance)
        boxes.append(full_box(b"sgpd", 1, 0, entry))
        boxes.append(full_box(b"sbgp", 0, 0, struct.pack(">4sIII", b"roll", 1, len(table.sizes), 1)))
    return boxes


def _count(values: array[int]) -> bytes:
    return struct.pack(">I", len(values))


def _big_endian(values: array[int]) -> bytes:
    swapped = values[:]
    if sys.byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


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
