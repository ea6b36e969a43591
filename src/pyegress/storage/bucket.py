"""One bucket: objects go in, and are believed to be there only when size and checksum have been read back."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import obstore
from obstore.exceptions import BaseError

from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.plan.storage import AliOssStorage, AzureStorage, S3Storage, Storage
from pyegress.storage.ahead import Ahead
from pyegress.storage.destination import Stored
from pyegress.storage.digests import MIB, Digests, part_size
from pyegress.storage.failures import upload_failed
from pyegress.storage.local_file import LocalFile, Unreadable
from pyegress.storage.locations import location, object_key
from pyegress.storage.parted import LeftUpload, PartedUpload
from pyegress.storage.stores import Store, check_azure_key, complete, open_store

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

logger = logging.getLogger(__name__)

#: Parts of one object that are on their way at once; memory is this and one more, times the size of a part.
PARALLEL_PARTS = 4
#: How long presigned URLs work: the longest that S3 allows.
PRESIGNED = timedelta(days=7)
#: ETags that are made of MD5 sums.
_MD5 = re.compile(r"[0-9a-f]{32}(-\d+)?")
_FOREIGN = (BaseError, OSError, ValueError)


class Bucket:
    """A `Destination`. Opened when it is first used. `put` any number at once, on one event loop."""

    def __init__(self, storage: Storage) -> None:
        self.storage = complete(storage, os.environ)
        self._opening: asyncio.Task[Store] | None = None
        self._found: dict[str, ObjectMeta | None] = {}

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
        """As `Destination`."""
        key = object_key(self.storage, name)
        try:
            store = await self._store()
            before = await self._before(store, key) if look else None
            async with LocalFile(path, sent) as file:
                etag = await self._finished(store, key, ahead, file) if ahead is not None else None
                if etag is None:
                    etag = await self._send(store, key, file, content_type)
            await self._confirm(store, key, file.digests, etag)
            left = ahead is not None and ahead.parted.was_left
            replaced = before is not None and _another(before, file.digests, by_size=left)
            return Stored(await self._location(store, key), file.digests.size, replaced)
        except EgressError:
            raise
        except Unreadable as error:
            raise error.failure from None
        except _FOREIGN as error:
            raise upload_failed(self.storage, str(error)) from None

    def parted(self, name: str, content_type: str, left: LeftUpload | None = None) -> PartedUpload | None:
        """As `Destination`: all but GCS."""
        if isinstance(self.storage, S3Storage | AliOssStorage | AzureStorage):
            return PartedUpload(self.storage, object_key(self.storage, name), content_type, left=left)
        return None

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
            async for part in _cut(answer, digests.sizes):
                await asyncio.to_thread(stored.add, part)
            if stored.same(digests):
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

    async def _finished(self, store: Store, key: str, ahead: Ahead, file: LocalFile) -> str | None:
        """The ETag of the object whose parts were sent before; None when it has to be sent as a whole.

        Raises OutputFailed when what is missing may be sent later.
        """
        await ahead.aclose()
        try:
            header = await asyncio.to_thread(ahead.header_of, file.fd)
            return await ahead.parted.finish(file, header)
        except OutputFailed as error:
            if error.retryable or error.fault is Fault.SERVER:
                raise
            await ahead.parted.abort()
            # It may have been made by an attempt whose answer was lost.
            with suppress(*_FOREIGN):
                found = await obstore.head_async(store, key)
                if found["size"] == file.size and file.digests.matches(found["e_tag"]):
                    return found["e_tag"]
            logger.warning("%s; the whole object is sent", error.message)
            return None

    async def _before(self, store: Store, key: str) -> ObjectMeta | None:
        """What has the name before we first write it; None also where that is not told."""
        if key not in self._found:
            found = None
            with suppress(*_FOREIGN):
                found = await obstore.head_async(store, key)
            self._found[key] = found
        return self._found[key]

    def _attributes(self, content_type: str) -> dict[str, str]:
        attributes = {"Content-Type": content_type}
        if isinstance(self.storage, S3Storage):
            attributes["Content-Disposition"] = self.storage.content_disposition or "inline"
            attributes |= dict(self.storage.metadata)
        return attributes

    def _tags(self) -> dict[str, str] | None:
        tagging = self.storage.tagging if isinstance(self.storage, S3Storage) else ""
        return dict(parse_qsl(tagging, keep_blank_values=True)) or None


async def _cut(answer: GetResult, sizes: Iterable[int]) -> AsyncIterator[bytes]:
    """What an answer brings, in parts of `sizes`; what is left over is one more."""
    held = bytearray()
    left = iter(sizes)
    size = next(left, None)
    async for piece in answer.stream(min_chunk_size=4 * MIB):
        held += memoryview(piece)
        while size is not None and len(held) >= size:
            part = bytes(memoryview(held)[:size])
            del held[:size]
            size = next(left, None)
            yield part
    if held:
        yield bytes(held)


def _another(before: ObjectMeta, ours: Digests, *, by_size: bool) -> bool:
    """Whether an object is not what was sent: an earlier attempt of the same egress may have brought it there, perhaps
    (`by_size`) in other parts."""
    etag = (before["e_tag"] or "").strip('"').lower()
    comparable = not by_size and _MD5.fullmatch(etag) is not None
    return before["size"] != ours.size or (comparable and not ours.matches(etag))


def _failed(task: asyncio.Task[Store]) -> bool:
    return task.cancelled() or task.exception() is not None
