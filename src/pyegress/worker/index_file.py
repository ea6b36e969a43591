"""`index.json` of a recording of every track: which file is whose, and when it began, on one clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pyegress.clock import Monotonic
from pyegress.outputs.disk import replacing
from pyegress.worker.output_paths import INDEX_NAME
from pyegress.worker.recorder import Recorder

#: The file is at most this old while the recording runs, seconds.
INTERVAL = 2.0


def write_index(
    directory: Path, *, room: str, running: bool, started_at: float | None, tracks: Sequence[Mapping[str, Any]]
) -> None:
    """Write the index into `directory` atomically, so that it is complete at any moment. Raises OSError.

    `started_at` is the UTC second that `start` and `end` of every track count from; `running` says that more may come.
    """
    content = {
        "version": 1,
        "room_name": room,
        "running": running,
        "started_at": started_at,
        "tracks": list(tracks),
    }
    with replacing(directory / INDEX_NAME) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


class IndexWriter:
    """Keeps the index beside the files of `recorder` while they grow, without holding up the event loop."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._task: asyncio.Task[None] | None = None
        self._written = Monotonic(float("-inf"))

    def tick(self, now: Monotonic, room: str) -> None:
        """Write it when it is old."""
        if now - self._written < INTERVAL or (self._task is not None and not self._task.done()):
            return
        self._written = now
        self._task = asyncio.create_task(self._write(room, running=True), name="write index")

    async def finish(self, room: str) -> None:
        """Write it for the last time."""
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._write(room, running=False)

    async def _write(self, room: str, *, running: bool) -> None:
        recorder = self._recorder
        started_at, tracks = recorder.index()
        write = partial(write_index, room=room, running=running, started_at=started_at, tracks=tracks)
        # A disk that refuses the index refuses the recordings too, and they say so.
        with suppress(OSError):
            await asyncio.to_thread(write, recorder.directory)
