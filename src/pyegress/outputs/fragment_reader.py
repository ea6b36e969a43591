"""Reads back the fragments of a recording: one pass over the `moof` boxes, compact tables, no media in memory.

The file is the only source, so a recording whose process was killed can be finished the same way as one at its end.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

#: tfhd flags that announce fields which we do not write: base offset, sample description, defaults.
_TFHD_OPTIONAL = 0x3B
#: sample_is_non_sync_sample.
_NOT_SYNC = 0x0001_0000
#: One read shows the headers of a usual fragment.
_WINDOW = 4096


class NotARecording(ValueError):
    """The file is not one that FragmentedMp4Muxer wrote."""


@dataclass(slots=True)
class TrackTable:
    """The samples of one track. Times in ticks; chunk positions from where the fragments begin."""

    sizes: array[int] = field(default_factory=lambda: array("I"))
    #: Run-length coded durations: (count, duration), flat.
    runs: array[int] = field(default_factory=lambda: array("I"))
    #: Numbers of the sync samples, from 1.
    syncs: array[int] = field(default_factory=lambda: array("I"))
    chunks: array[int] = field(default_factory=lambda: array("Q"))
    #: Run-length coded samples per chunk: (first chunk from 1, samples, sample description 1), flat.
    chunk_runs: array[int] = field(default_factory=lambda: array("I"))
    first: int = 0
    _last: int = -1
    _last_duration: int = 0

    @property
    def duration(self) -> int:
        """From the first sample to the end of the last."""
        return self._last + self._last_duration - self.first if self.sizes else 0

    def add(self, chunk: int, run: TrackRun) -> None:
        """Add the samples of one fragment; their data is at `chunk`."""
        base, durations, sizes = run.base, run.durations[:], run.sizes
        if run.flags is not None:
            number = len(self.sizes) + 1
            self.syncs.extend(number + i for i, value in enumerate(run.flags) if not value & _NOT_SYNC)
        if self._last < 0:
            self.first = base
        else:
            # The last duration of a fragment was an estimate; this fragment's time says what it really was.
            self._run(max(0, base - self._last), 1)
        self._last_duration = durations.pop()
        if durations and durations.count(durations[0]) == len(durations):
            self._run(durations[0], len(durations))
        else:
            for duration in durations:
                self._run(duration, 1)
        self._last = base + sum(durations)
        self.sizes.extend(sizes)
        self.chunks.append(chunk)
        if not self.chunk_runs or self.chunk_runs[-2] != len(sizes):
            self.chunk_runs.extend((len(self.chunks), len(sizes), 1))

    def finish(self) -> None:
        """No more samples come."""
        if self.sizes:
            self._run(self._last_duration, 1)

    def _run(self, duration: int, count: int) -> None:
        runs = self.runs
        if runs and runs[-1] == duration:
            runs[-2] += count
        else:
            runs.extend((count, duration))


@dataclass(slots=True)
class Fragments:
    """What a recording consists of: its headers, its tracks' tables, and where its fragments lie: `start` to `end`."""

    ftyp: bytes = b""
    moov: bytes = b""
    tracks: dict[int, TrackTable] = field(default_factory=dict)
    start: int = 0
    end: int = 0

    @property
    def total(self) -> int:
        """Bytes of all fragments."""
        return self.end - self.start


def children(data: bytes, start: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of content, end) of each box in `data` from `start` on."""
    while start + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > len(data):
            raise NotARecording(f"box {kind!r} is damaged")
        yield kind, start + 8, start + size
        start += size


class BoxReader:
    """Reads small pieces in rising order with few system calls."""

    __slots__ = ("_at", "_fd", "_window")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0
        self._window = b""

    def read(self, at: int, size: int) -> bytes:
        start = at - self._at
        if start < 0 or start + size > len(self._window):
            self._window = os.pread(self._fd, max(size, _WINDOW), at)
            self._at, start = at, 0
        return self._window[start : start + size]


def read_fragments(fd: int) -> Fragments:
    """Read all headers of a recording. A torn fragment at the end is left out. Raises NotARecording, OSError."""
    found = Fragments()
    end = os.fstat(fd).st_size
    reader = BoxReader(fd)
    at = 0
    moof, moof_at = b"", 0
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", reader.read(at, 8))
        if size < 8 or at + size > end:
            break
        if kind == b"moof":
            moof, moof_at = reader.read(at, size), at
        elif kind == b"mdat" and moof:
            _add_fragment(found, moof, moof_at - found.start)
            moof, found.end = b"", at + size
        elif kind in (b"ftyp", b"moov"):
            setattr(found, kind.decode(), reader.read(at, size))
            found.start = found.end = at + size
        at += size
    if not found.moov:
        raise NotARecording("no movie header")
    for table in found.tracks.values():
        table.finish()
    return found


@dataclass(frozen=True, slots=True)
class TrackRun:
    """The samples of one track in one fragment. `offset` of their data is from the start of the `moof` box."""

    track: int
    base: int
    offset: int
    durations: array[int]
    sizes: array[int]
    #: sample_flags; None for audio, where every sample is a sync sample.
    flags: array[int] | None

    def is_sync(self, index: int) -> bool:
        return self.flags is None or not self.flags[index] & _NOT_SYNC


def track_runs(moof: bytes) -> Iterator[TrackRun]:
    """What a `moof` box says, track by track. Raises NotARecording for what FragmentedMp4Muxer does not write."""
    for kind, start, stop in children(moof, 8):
        if kind != b"traf":
            continue
        track, base = 0, 0
        for inner, content, inner_end in children(moof[:stop], start):
            if inner == b"tfhd":
                flags, track = struct.unpack_from(">II", moof, content)
                if flags & _TFHD_OPTIONAL:
                    raise NotARecording("fragments with defaults")
            elif inner == b"tfdt":
                (base,) = struct.unpack_from(">Q", moof, content + 4)
            elif inner == b"trun":
                flags, count, offset = struct.unpack_from(">IIi", moof, content)
                table = array("I")
                table.frombytes(moof[content + 12 : inner_end])
                if sys.byteorder == "little":
                    table.byteswap()
                columns = flags.bit_count() - 1
                if not count or len(table) != count * columns or columns not in (2, 3):
                    raise NotARecording("fragment table of an unknown shape")
                sync = table[2::3] if columns == 3 else None
                yield TrackRun(track, base, offset, table[0::columns], table[1::columns], sync)


def _add_fragment(found: Fragments, moof: bytes, at: int) -> None:
    """`at` counts from where the fragments begin."""
    for run in track_runs(moof):
        found.tracks.setdefault(run.track, TrackTable()).add(at + run.offset, run)
