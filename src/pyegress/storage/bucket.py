"""One bucket: objects go in, and are believed to be there only when size and checksum have been read back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import obstore
from obstore.exceptions import BaseError

from pyegress.errors import EgressError, OutputFailed
from pyegress.plan.storage import AzureStorage, S3Storage, Storage
from pyegress.storage.destination import Stored
from pyegress.storage.digests import MIB, Digests, part_size
from pyegress.storage.failures import upload_failed
from pyegress.storage.local_file import LocalFile, Unreadable
from pyegress.storage.locations import location, object_key
from pyegress.storage.stores import Store, check_azure_key, complete, open_store

#: Parts of one object that are on their way at once; memory is this and one more, times the size of a part.
PARALLEL_PARTS = 4
#: How long presigned URLs work: the longest that S3 allows.
PRESIGNED = timedelta(days=7)
_FOREIGN = (BaseError, OSError, ValueError)


class Bucket:
    """A `Destination`. Opened when it is first used. `put` any number at once, on one event loop."""

    def __init__(self, storage: Storage) -> None:
        self.storage = complete(storage, os.environ)
        self._opening: asyncio.Task[Store] | None = None

    async def put(self, path: Path, name: str, content_type: str, *, sent: Callable[[int], None]) -> Stored:
        """Bring the file `path` there as the object `name`; returns when it is confirmed. Raises OutputFailed.

        What is seen under the name is the old object or the whole new one. `sent` is told of every piece, bytes.
        """
        key = object_key(self.storage, name)
        try:
            store = await self._store()
            async with LocalFile(path, sent) as file:
                etag = await self._send(store, key, file, content_type)
            await self._confirm(store, key, file.digests, etag)
            return Stored(await self._location(store, key), file.digests.size)
        except EgressError:
            raise
        except Unreadable as error:
            raise error.failure from None
        except _FOREIGN as error:
            raise upload_failed(self.storage, str(error)) from None

    async def delete(self, name: str) -> None:
        """Remove an object. Raises OutputFailed."""
        try:
            await obstore.delete_async(await self._store(), object_key(self.storage, name))
        except _FOREIGN as error:
            raise upload_failed(self.storage, str(error)) from None

    async def _send(self, store: Store, key: str, file: LocalFile, content_type: str) -> str | None:
        attributes, tags = self._attributes(content_type), self._tags()
        step = part_size(file.size)
        if file.size <= step:
            whole = b"".join([part async for part in file.parts()])
            result = await obstore.put_async(store, key, whole, attributes=attributes, tags=tags, use_multipart=False)
        else:
            result = await obstore.put_async(
                store,
                key,
                file.parts(),
                attributes=attributes,
                tags=tags,
                chunk_size=step,
                max_concurrency=PARALLEL_PARTS,
            )
        return result["e_tag"]

    async def _store(self) -> Store:
        if isinstance(self.storage, AzureStorage) and self.storage.account_key:
            check_azure_key(self.storage)
        if self._opening is None or (self._opening.done() and _failed(self._opening)):
            self._opening = asyncio.create_task(open_store(self.storage), name=f"open {self.storage.label}")
        return await asyncio.shield(self._opening)

    async def _confirm(self, store: Store, key: str, digests: Digests, etag: str | None) -> None:
        """Read back what is stored: its size, and its checksum or, where that is not told, its bytes."""
        found = await obstore.head_async(store, key)
        if found["size"] == digests.size:
            if not digests.size or digests.matches(found["e_tag"]) or digests.matches(etag):
                return
            stored = Digests()
            answer = await obstore.get_async(store, key)
            async for piece in answer.stream(min_chunk_size=4 * MIB):
                await asyncio.to_thread(stored.add, memoryview(piece))
            if stored.md5 == digests.md5:
                return
        raise OutputFailed(
            f"{self.storage.label} upload failed: the stored object is not the one that was sent",
            field=key,
            remedy="Check that nothing else writes this name",
            retryable=True,
        )

    async def _location(self, store: Store, key: str) -> str:
        if not self.storage.presigned:
            return location(self.storage, key)
        return await obstore.sign_async(store, "GET", key, PRESIGNED)

    def _attributes(self, content_type: str) -> dict[str, str]:
        attributes = {"Content-Type": content_type}
        if isinstance(self.storage, S3Storage):
            attributes["Content-Disposition"] = self.storage.content_disposition or "inline"
            attributes |= dict(self.storage.metadata)
        return attributes

    def _tags(self) -> dict[str, str] | None:
        tagging = self.storage.tagging if isinstance(self.storage, S3Storage) else ""
        return dict(parse_qsl(tagging, keep_blank_values=True)) or None


def _failed(task: asyncio.Task[Store]) -> bool:
    return task.cancelled() or task.exception() is not None
