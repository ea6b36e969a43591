"""A file of this machine on its way to a storage: read part by part, never more than is asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from pyegress.errors import Fault, OutputFailed
from pyegress.storage.digests import Digests, part_size


class Unreadable(Exception):
    """The file on this machine cannot be read: nothing that the storage is to blame for."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(str(error))
        self.failure = OutputFailed(
            f"Cannot read {path}: {error.strerror or error}",
            field=str(path),
            fault=Fault.SERVER,
            remedy="Check the disk",
        )


async def read_parts(path: Path, size: int, digests: Digests, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The first `size` bytes of a file in parts, each read when it is asked for. Raises Unreadable."""
    step = part_size(size)
    try:
        with await asyncio.to_thread(path.open, "rb", buffering=0) as file:
            for offset in range(0, max(size, 1), step):
                part = await asyncio.to_thread(_part, file.fileno(), offset, min(step, size - offset), digests)
                yield part
                sent(len(part))
    except OSError as error:
        raise Unreadable(path, error) from None


def _part(fd: int, offset: int, size: int, digests: Digests) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(fd, size, offset)):
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    part = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    digests.add(part)
    return part
