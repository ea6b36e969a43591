"""A file of this machine on its way to a storage: read part by part, never more than is asked for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import repeat
from pathlib import Path
from typing import BinaryIO, Self

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


class LocalFile:
    """A file of this machine, opened once: whatever takes its name meanwhile is another one. Used as `async with`."""

    def __init__(self, path: Path, sent: Callable[[int], None]) -> None:
        """`sent` is told how many bytes were taken."""
        self.digests = Digests()
        self._path = path
        self._sent = sent
        self._file: BinaryIO | None = None
        self._told = 0

    async def __aenter__(self) -> Self:
        """Raises Unreadable."""
        try:
            self._file = await asyncio.to_thread(self._path.open, "rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise Unreadable(self._path, error) from None
        return self

    @property
    def fd(self) -> int:
        assert self._file is not None
        return self._file.fileno()

    async def __aexit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    async def parts(self, sizes: Iterable[int] | None = None) -> AsyncIterator[bytes]:
        """Its bytes from the start, each part read when it is asked for. Raises Unreadable.

        Parts are of `sizes`, as many as it takes; the last one is what is left.
        """
        assert self._file is not None
        # What was read before was in vain.
        self._sent(-self._told)
        self._told, self.digests = 0, Digests()
        offset = 0
        for size in sizes or repeat(part_size(self.size)):
            if offset >= self.size:
                break
            try:
                part = await asyncio.to_thread(
                    _part, self._file.fileno(), offset, min(size, self.size - offset), self.digests
                )
            except OSError as error:
                raise Unreadable(self._path, error) from None
            yield part
            offset += min(size, self.size - offset)
            self._told += len(part)
            self._sent(len(part))


def _part(fd: int, offset: int, size: int, digests: Digests) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(fd, size, offset)):
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    part = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    digests.add(part)
    return part
