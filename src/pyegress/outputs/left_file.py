"""Finishes a recording whose process is gone, from the file alone."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyegress.errors import OutputFailed
from pyegress.outputs import ebml
from pyegress.outputs.disk import disk_failure, temporary_beside
from pyegress.outputs.fragment_reader import NotARecording, children
from pyegress.outputs.progressive_mp4 import finish_mp4, fragments_end
from pyegress.outputs.sound_recovery import finish_flac, finish_mp3, finish_ogg, finish_wav
from pyegress.outputs.webm_recovery import finish_webm

_PIECE = 1 << 20
#: Bytes that every header has; fewer are a torn one.
_SHORTEST = 12
#: Boxes of an MP4 that are looked at before its media.
_MAX_MOOV = 1 << 30


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file that is whole: bytes, seconds of media, `sha256:` and hex.

    `warning` says why it plays but could not be made an ordinary seekable one.
    """

    path: Path
    size: int
    duration: float
    checksum: str
    warning: str = ""


def finish_left(path: Path) -> LeftFile | None:
    """Finish what is at `path`; None when nothing was recorded. Raises OutputFailed when it cannot be read or written.

    An ordinary seekable file is left as it is. May be killed at any moment, and called again.
    """
    with suppress(OSError):
        temporary_beside(path).unlink()
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_failure(error, path, "finish") from error
    warning = ""
    try:
        try:
            duration = _finisher(fd)(fd, path)
        except NotARecording:
            return None
        except _Unfinished as unfinished:
            duration = unfinished.duration
            failure = disk_failure(unfinished.cause, path, "finish")
            warning = f"{failure.message}. The file plays, but seeking in it may be slow. {failure.remedy}"
        os.fdatasync(fd)
    except OSError as error:
        raise disk_failure(error, path, "finish") from error
    finally:
        os.close(fd)
    try:
        return LeftFile(path, path.stat().st_size, duration, checksum_of(path), warning)
    except OSError as error:
        raise disk_failure(error, path, "read") from error


def checksum_of(path: Path) -> str:
    """`sha256:` and the digest of a file. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


class _Unfinished(Exception):
    """The disk refuses what finishing takes; what is there plays."""

    def __init__(self, cause: OSError, duration: float) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.duration = duration


def _finisher(fd: int) -> Callable[[int, Path], float]:
    start = os.pread(fd, 12, 0)
    in_place: Callable[[int], float]
    if len(start) < _SHORTEST or not start.strip(b"\x00"):
        raise NotARecording("nothing was recorded")
    if start[4:8] == b"ftyp":
        return _finish_mp4
    if start[:4] == ebml.EBML:
        in_place = finish_webm
    elif start[:4] == b"OggS":
        in_place = finish_ogg
    elif start[:4] == b"RIFF":
        in_place = finish_wav
    elif start[:4] == b"fLaC":
        in_place = finish_flac
    elif start[:3] == b"ID3" or (start[:1] == b"\xff" and len(start) > 1 and start[1] & 0xE0 == 0xE0):
        in_place = finish_mp3
    else:
        raise OutputFailed("The file is of no kind that is recorded here")
    return lambda fd, path: in_place(fd)


def _finish_mp4(fd: int, path: Path) -> float:
    if (ordinary := _ordinary_duration(fd)) is not None:
        return ordinary
    duration = fragments_end(fd)
    if not duration:
        raise NotARecording("nothing was recorded")
    try:
        finish_mp4(fd, path)
    except OSError as error:
        raise _Unfinished(error, duration) from error
    return duration


def _ordinary_duration(fd: int) -> float | None:
    """Seconds of an MP4 without fragments; None of one with them."""
    at, end = 0, os.fstat(fd).st_size
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", os.pread(fd, 8, at))
        if size == 1:
            (size,) = struct.unpack(">Q", os.pread(fd, 8, at + 8))
        if kind == b"moov" and 8 <= size <= min(_MAX_MOOV, end - at):
            moov = os.pread(fd, size, at)
            boxes = {name: start for name, start, _ in children(moov, 8)}
            if b"mvex" in boxes or b"mvhd" not in boxes:
                return None
            scale, duration = struct.unpack_from(">IQ", moov, boxes[b"mvhd"] + 20)
            return float(duration / scale)
        if size < 8:
            return None
        at += size
    return None
