"""Finishes a WebM or Matroska recording from what is on the disk, as `WebmMuxer` would have from memory."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field

from pyegress.outputs import ebml
from pyegress.outputs.fragment_reader import BoxReader, NotARecording
from pyegress.outputs.webm_cues import Cues, seek_head

#: Longest header of an element.
_HEADER = 12
#: A block's track, time and flags.
_BLOCK_HEAD = 4
_VIDEO_TRACK = b"\x01"
#: A frame is taken to last this long when nothing tells, milliseconds.
_LAST_FRAME = 33


@dataclass(slots=True)
class _Found:
    """What a file holds. Positions are of the file unless they say otherwise."""

    segment_size_at: int = 0
    segment: int = 0
    segment_size: int | None = None
    duration_at: int = 0
    #: Of the elements that the seek head tells of, from the start of the segment.
    positions: dict[bytes, int] = field(default_factory=dict)
    cues: Cues = field(default_factory=lambda: Cues(()))
    have_cues: bool = False
    #: Where the last whole element that counts ends.
    end: int = 0
    #: Milliseconds by stream: encoders' priming, the last block, and from the block before to that one.
    primings: list[int] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)


def finish_webm(fd: int) -> float:
    """Make the recording, open for reading and writing, a seekable file; its duration in seconds.

    A torn cluster at the end is cut off. Idempotent, and at each of its steps the file plays. Raises NotARecording when
    nothing was recorded, OSError.
    """
    found = _read(fd)
    if not found.last:
        raise NotARecording("nothing was recorded")
    played = struct.unpack(">d", os.pread(fd, 8, found.duration_at))[0]
    # The header knows better than a guess at how long the last frame lasts, once it was written for these blocks.
    begins = {stream: at - found.primings[stream] for stream, at in found.last.items()}
    guessed = max(at + found.steps.get(stream, _LAST_FRAME) for stream, at in begins.items())
    duration = float(played if played > max(begins.values()) else guessed)
    if found.have_cues and found.segment_size == found.end - found.segment:
        return duration / 1000
    if not found.have_cues:
        os.ftruncate(fd, found.end)
        found.positions[ebml.CUES] = found.end - found.segment
        cues = found.cues.element()
        _write(fd, cues, found.end)
        found.end += len(cues)
    os.ftruncate(fd, found.end)
    _write(fd, struct.pack(">d", duration), found.duration_at)
    _write(fd, seek_head(found.positions), found.segment)
    _write(fd, ebml.long_size_of(found.end - found.segment), found.segment_size_at)
    return duration / 1000


def _write(fd: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(fd, data, at)
        data, at = data[written:], at + written


def _read(fd: int) -> _Found:
    found = _Found()
    reader = BoxReader(fd)
    end = os.fstat(fd).st_size
    at = 0
    while (header := _header(reader, at, end)) is not None:
        name, size, content = header
        if name == ebml.SEGMENT:
            found.segment_size_at, found.segment, found.segment_size = at + len(name), content, size
            at = content
            continue
        if size is None or content + size > end:
            break
        match name:
            case ebml.INFO:
                found.duration_at = content + reader.read(content, size).rindex(ebml.DURATION) + 3
                found.positions[name] = at - found.segment
            case ebml.TRACKS:
                entries = _entries(reader.read(content, size))
                found.cues = Cues([entry[ebml.TRACK_TYPE] == _VIDEO_TRACK for entry in entries])
                delays = (int.from_bytes(entry.get(ebml.CODEC_DELAY, b""), "big") for entry in entries)
                found.primings = [delay // 1_000_000 for delay in delays]
                found.positions[name] = at - found.segment
            case ebml.TAGS:
                found.positions[name] = at - found.segment
            case ebml.CLUSTER:
                _read_cluster(reader, found, at, content, content + size)
            case ebml.CUES:
                found.have_cues = True
                found.positions[name] = at - found.segment
        at = content + size
        found.end = at
        if found.have_cues:
            break
    if ebml.TRACKS not in found.positions or not found.duration_at:
        raise NotARecording("no header of a WebM recording")
    return found


def _header(reader: BoxReader, at: int, end: int) -> tuple[bytes, int | None, int] | None:
    """Identifier, size and where the content begins; None where no whole header is."""
    data = reader.read(at, min(_HEADER, end - at)) if at + 2 <= end else b""
    # Identifiers have at most 4 bytes, sizes 8: a first byte of zero is none of either.
    if len(data) < 2 or not data[0] >> 4:
        return None
    width = 9 - data[0].bit_length()
    if len(data) <= width or not data[width] or len(data) < width + 9 - data[width].bit_length():
        return None
    name, size, body = ebml.read_header(data)
    return name, size, at + body


def _entries(tracks: bytes) -> list[dict[bytes, bytes]]:
    return [dict(ebml.elements(entry)) for name, entry in ebml.elements(tracks) if name == ebml.TRACK_ENTRY]


def _read_cluster(reader: BoxReader, found: _Found, cluster: int, start: int, end: int) -> None:
    base = 0
    have_one = False
    at = start
    while (header := _header(reader, at, end)) is not None:
        name, size, content = header
        if size is None:
            return
        if name == ebml.TIMESTAMP:
            base = int.from_bytes(reader.read(content, size), "big")
        elif name == ebml.SIMPLE_BLOCK:
            track, offset, flags = struct.unpack(">BhB", reader.read(content, _BLOCK_HEAD))
            stream, time = (track & 0x7F) - 1, base + offset
            if found.cues.wants(time, stream, keyframe=bool(flags & 0x80), have_one=have_one):
                found.cues.add(time, stream, cluster - found.segment, at - start)
                have_one = True
            if stream in found.last:
                found.steps[stream] = time - found.last[stream]
            found.last[stream] = time
        at = content + size
