"""The state journal of one egress: one JSON line for each entry, only ever appended to.

A line that a crash tore is passed over, wherever it is; the next one begins on a line of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from pyegress.lifecycle.json_lines import BadLine, decode, encode
from pyegress.storage.journal_entries import ENTRIES, Entry, Moved, Record, Told, read_entries

#: Entries that must outlive a power cut.
_SYNCED = (Moved, Told)


class Journal:
    """Appends entries; from any thread. Methods block for a write, with a sync for those that move a state."""

    def __init__(self, path: Path) -> None:
        """Open it, made when missing (readable for its owner only). Raises OSError."""
        self.path = path
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._fd).st_size
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def append(self, *entries: Entry) -> None:
        """Write entries, in one piece. Raises OSError; what was there before stays whole."""
        data = b"".join(map(encode, entries))
        with self._lock:
            if self._torn:
                data = b"\n" + data
            written = 0
            try:
                while written < len(data):
                    written += os.write(self._fd, data[written:])
            finally:
                self._torn = 0 < written < len(data) or (self._torn and not written)
            if any(isinstance(entry, _SYNCED) for entry in entries):
                os.fdatasync(self._fd)

    def sync(self) -> None:
        """What was appended outlives a power cut from here on: before anything that it speaks of is removed."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            if self._fd >= 0:
                fd, self._fd = self._fd, -1
                os.close(fd)


def read_journal(path: Path) -> Record:
    """What a journal says, at any moment of its being written. A missing one says nothing. Raises OSError."""
    return read_entries(_entries(path))


def _entries(path: Path) -> Iterator[Entry]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        if not line:
            continue
        try:
            entry = decode(line, *ENTRIES)
        except BadLine:
            continue
        yield entry  # type: ignore[misc]
