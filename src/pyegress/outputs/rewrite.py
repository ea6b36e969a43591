"""Rewrites a running recording: with a stream more, or with its streams moved against each other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyegress.errors import Fault, OutputFailed
from pyegress.outputs.disk import disk_failure, temporary_beside
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.fragment_reader import NotARecording
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.reader import read_frames
from pyegress.plan.containers import Container


@dataclass(frozen=True, slots=True)
class Rewrite:
    """How the file goes on. `streams` begins with those it has; `shifts` moves each of those, in ticks of its clock."""

    path: Path
    container: Container
    streams: tuple[StreamSpec, ...]
    shifts: tuple[int, ...]


def rewrite(writer: FileWriter, plan: Rewrite, metadata: dict[str, str]) -> FileWriter:
    """The writer that goes on, at `plan.path`, with everything that `writer` has written.

    At any moment a file that plays is at the old or the new path. When the disk refuses, `writer` goes on unharmed and
    OutputFailed is raised.
    """
    writer.flush()
    temporary = temporary_beside(plan.path)
    new: FileWriter | None = None
    try:
        new = FileWriter(temporary, plan.container, plan.streams, metadata=metadata, batch=writer.batch)
        for stream, frame, ticks in read_frames(writer.path):
            new.write(stream, frame, ticks + plan.shifts[stream])
        new.flush()
        new.move(plan.path)
    except (OutputFailed, OSError, NotARecording) as error:
        if new is not None:
            new.abort()
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise disk_failure(error, plan.path, "rewrite") from error
        if isinstance(error, NotARecording):
            raise OutputFailed(f"Cannot rewrite {writer.path}: {error}", fault=Fault.OURS) from error
        raise
    old = writer.abort().path
    if old != new.path:
        with suppress(OSError):
            old.unlink()
    return new
