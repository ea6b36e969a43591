"""What a composition has received and not rendered safely yet, on the disk: an early kill loses none of it.

Rendering waits for sender reports, and catches up then. Until it has, everything that the media engine is told is
written down beside the recording, so that another process can render it again (`rendered_again`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyegress.clock import Monotonic
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Scene
from pyegress.lifecycle.json_lines import BadLine, decode, encode
from pyegress.media.director import CandidateChanged
from pyegress.media.engine_messages import Message

logger = logging.getLogger(__name__)

#: Seconds of a recording for which everything is kept at least; then until rendering is less than _CLOSE seconds
#: behind, for _LONGEST seconds and _LARGEST bytes at most.
SHORTEST, _LONGEST = 10.0, 60.0
_CLOSE = 1.6
_LARGEST = 64 << 20
#: Seconds for which entries are collected before they are written: as much is lost.
_BATCH = 0.1


@dataclass(frozen=True, slots=True)
class Opened:
    """The outputs got their names. `utc_offset` is UTC less the monotonic clock, seconds."""

    room_name: str
    room_sid: str
    publisher: str
    utc_offset: float


@dataclass(frozen=True, slots=True)
class Staged:
    """What is shown changes at `at`."""

    at: Monotonic
    change: Scene | Layout | CandidateChanged


Entry = Opened | Staged | Message


class ReceivedLog:
    """Written by the worker that records; methods on the event loop, none blocks. A disk that refuses ends it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._fd = -1
        self._size = 0
        #: The disk has refused; nothing is needed any more.
        self._broken = self._over = False

    def note(self, entry: Entry) -> None:
        """Something was received."""
        if self._over or self._broken:
            return
        self._waiting.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BATCH, self._flush)

    def look(self, now: Monotonic, begun: Monotonic | None, rendered: Monotonic | None) -> None:
        """Time passes: once the file has what was received since `begun`, it is not needed here any more."""
        if self._over or begun is None or now - begun < SHORTEST:
            return
        caught_up = rendered is not None and now - rendered < _CLOSE
        if caught_up or now - begun > _LONGEST or self._size > _LARGEST:
            self.drop()

    def drop(self) -> None:
        """It is needed no more. Idempotent."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        if self._thread is not None:
            self._thread.submit(self._remove)
            self._thread.shutdown(wait=False)

    def _flush(self) -> None:
        self._timer = None
        entries, self._waiting = self._waiting, []
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="received")
        self._thread.submit(self._write, entries)

    def _write(self, entries: list[Entry]) -> None:
        """In the thread."""
        if self._broken:
            return
        data = memoryview(b"".join(map(encode, entries)))
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while data:
                written = os.write(self._fd, data)
                self._size += written
                data = data[written:]
        except OSError as error:
            # The recording itself may have more by and by.
            logger.warning("what is received is not kept until it is rendered: %s", error.strerror)
            self._broken = True
            self._remove()

    def _remove(self) -> None:
        """In the thread."""
        with suppress(OSError):
            os.unlink(self._path)
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def read_received(path: Path) -> Iterator[Entry]:
    """What was written, up to where a kill tore it. Raises OSError."""
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield decode(line, Opened, Staged, Message)  # type: ignore[misc]
            except BadLine:
                return
