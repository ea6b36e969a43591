"""A process that records, to be killed: `python -m tests.outputs.crash_child FRAMES PATH PROGRESS MODE [CALL]`.

FRAMES is a pickle of (container, streams). PROGRESS is a file of one little-endian double per stream: the seconds that
`write` has taken, and behind them one byte that says what the process does. MODE `write` writes for minutes of media
and waits to be killed; `close` writes everything once and then kills itself before the CALL-th system call of closing
that changes a disk.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.muxer import StreamSpec
from pyegress.rtp.frame import EncodedFrame

WRITING, CLOSING, CLOSED = 1, 2, 3
#: Not more, however late the killer is: all of it will be decoded.
_TURNS = 60
_CHANGES = ("write", "pwrite", "ftruncate", "copy_file_range", "sendfile", "replace", "fdatasync", "fchmod", "open")


def schedule(streams: list[list[EncodedFrame]], turn: int, length: float) -> list[tuple[float, int, EncodedFrame, int]]:
    """One turn through all frames in order of time."""
    items = [
        (
            frame.timestamp / frame.codec.clock_rate + turn * length,
            stream,
            frame,
            frame.timestamp + round(turn * length * frame.codec.clock_rate),
        )
        for stream, frames in enumerate(streams)
        for frame in frames
    ]
    return sorted(items, key=lambda item: item[0])


def die_before(call: int) -> None:
    """From now on count the calls that change a disk, and die before number `call`."""
    count = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            return original(*args, **kwargs)

        return wrapper

    for name in _CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def main() -> None:
    frames_path, path, progress_path, mode, *rest = sys.argv[1:]
    container, streams, length = pickle.loads(Path(frames_path).read_bytes())
    with open(progress_path, "r+b") as file:
        progress = mmap.mmap(file.fileno(), 0)
    specs = [StreamSpec(frames[0].codec, frames[0].size, frames[0]) for frames in streams]
    writer = FileWriter(Path(path), container, specs)
    state_at = 8 * len(streams)
    turn = 0
    while turn < (_TURNS if mode == "write" else 1):
        for seconds, stream, frame, pts in schedule(streams, turn, length):
            writer.write(stream, frame, pts)
            struct.pack_into("<d", progress, 8 * stream, seconds)
            progress[state_at] = WRITING
        turn += 1
    if mode == "write":
        signal.pause()
    progress[state_at] = CLOSING
    die_before(int(rest[0]))
    writer.close()
    progress[state_at] = CLOSED


if __name__ == "__main__":
    main()
