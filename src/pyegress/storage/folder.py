"""A folder of this machine as a place for objects: the backup of a bucket, for instance a disk of the network."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyegress.errors import Code, Fault, OutputFailed
from pyegress.plan.storage import LocalStorage
from pyegress.storage.destination import Stored
from pyegress.storage.digests import Digests
from pyegress.storage.local_file import LocalFile, Unreadable

if TYPE_CHECKING:
    from pyegress.storage.ahead import Ahead
    from pyegress.storage.parted import LeftUpload, PartedUpload

_HIDDEN_SUFFIX = ".pyegress-tmp"


class Folder:
    """A `Destination`. Relative names go below `directory`, "" is the current folder."""

    def __init__(self, storage: LocalStorage, directory: str = "") -> None:
        self._storage = storage
        self._directory = directory

    def path(self, name: str) -> Path:
        """Where the object `name` lies."""
        prefix = self._storage.prefix
        return Path(os.path.abspath(Path(self._directory, os.path.join(prefix, name.lstrip("/")) if prefix else name)))

    def parted(self, name: str, content_type: str, left: LeftUpload | None = None) -> PartedUpload | None:
        """As `Destination`: a copy is quick."""
        return None

    async def put(
        self,
        path: Path,
        name: str,
        content_type: str,
        *,
        sent: Callable[[int], None],
        ahead: Ahead | None = None,
        look: bool = False,
    ) -> Stored:
        """As `Destination`: copied beside the name, read back, then renamed."""
        target = self.path(name)
        hidden = target.with_name(f".{target.name[:200]}{_HIDDEN_SUFFIX}")
        try:
            async with LocalFile(path, sent) as file:
                await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
                with await asyncio.to_thread(hidden.open, "wb") as copy:
                    async for part in file.parts():
                        await asyncio.to_thread(copy.write, part)
                    await asyncio.to_thread(_sync, copy)
            if not (await asyncio.to_thread(_digests, hidden, file.digests.sizes)).same(file.digests):
                raise OutputFailed("Local upload failed: the copy is not what was copied", field=str(target))
            await asyncio.to_thread(os.replace, hidden, target)
        except Unreadable as error:
            raise error.failure from None
        except OSError as error:
            with suppress(OSError):
                hidden.unlink()
            raise OutputFailed(
                f"Local upload failed: {target}: {error.strerror or error}",
                field=str(target),
                code=Code.INVALID_ARGUMENT,
                fault=Fault.DESTINATION,
                remedy="Check the folder, its permissions and the disk",
                retryable=True,
            ) from None
        return Stored(target.as_uri() if self._storage.presigned else str(target), file.digests.size)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _digests(path: Path, sizes: Iterable[int]) -> Digests:
    digests = Digests()
    with path.open("rb") as file:
        for size in sizes:
            digests.add(file.read(size))
        if more := file.read(1):
            digests.add(more)
    return digests
