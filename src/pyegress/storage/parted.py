"""One object that goes to its storage in parts, most of them while its file still grows. The first one, whose bytes
change until the end, is sent last.

A file of a recording has a header, which becomes another one when it is finished, and behind it bytes that stay as
they are. Part 1 is the header and the first of those; parts 2, 3, … are cut from the rest, always by the same table.
What is sent early is compared with the finished file before the object is made, and sent again where it differs:
nothing that is assumed of a file can spoil the object.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from pyegress.clock import Wall
from pyegress.errors import EgressError
from pyegress.plan.storage import Storage
from pyegress.storage.digests import PART
from pyegress.storage.local_file import LocalFile
from pyegress.storage.object_parts import ObjectParts, SentPart, open_parts

logger = logging.getLogger(__name__)

#: Bytes behind the header that belong to part 1. A part may not have less than 5 MiB, unless it is the last one.
FIRST = PART
#: Parts are larger by PART after so many, so that S3's 10000 hold 400 GB.
_LARGER_AFTER = 1000
#: Parts of one object that are on their way at once, when it is finished.
PARALLEL = 4
#: Seconds between attempts to abort an upload.
_ABORT_PAUSES = (0.5, 2.0)
#: Uploads that were begun less than this before the egress may be of another one, by clocks that differ, seconds.
_CLOCKS = 60.0


def part_bytes(number: int) -> int:
    """Bytes of part `number`, from 2 on."""
    return PART * (1 + number // _LARGER_AFTER)


def sizes_of_parts(header: int, first: int) -> Iterator[int]:
    """Bytes of each part of a file whose header has `header`."""
    yield header + first
    yield from map(part_bytes, count(2))


@dataclass(frozen=True, slots=True)
class LeftUpload:
    """What an earlier process may have left of an upload: its id and how it was cut, and since when it may have."""

    since: Wall
    upload: str = ""
    first: int = FIRST


class PartedUpload:
    """One attempt to bring one object there. On the event loop. Methods raise OutputFailed."""

    def __init__(self, storage: Storage, key: str, content_type: str, *, left: LeftUpload | None = None) -> None:
        self._storage = storage
        self._key = key
        self._content_type = content_type
        self._left = left
        self.was_left = left is not None
        self._client: ObjectParts | None = None
        self.first = left.first if left is not None else FIRST
        #: "" before it is begun, and when it is over.
        self.upload = ""
        self._sent: dict[int, SentPart] = {}

    async def begin(self) -> bool:
        """False when this storage takes no parts from us."""
        client = await self._opened()
        if client is not None:
            self.upload = await client.begin(self._key, self._content_type)
        return client is not None

    async def send(self, number: int, part: bytes) -> None:
        """Bring part `number` there."""
        client = await self._opened()
        assert client is not None
        self._sent[number] = await client.send(self._key, self.upload, number, part)

    async def finish(self, file: LocalFile, header: int) -> str | None:
        """Send what is missing of `file` and make the object; its ETag. None when there is no upload to finish."""
        await self._take_up()
        if not self.upload:
            return None
        client = await self._opened()
        assert client is not None
        numbers = await self._send_rest(client, file, header)
        parts = [self._sent[number] for number in numbers]
        etag = await client.complete(self._key, self.upload, parts, self._content_type)
        self.upload = ""
        return etag

    async def abort(self) -> None:
        """Leave no part behind. Idempotent; a storage that does not answer is logged."""
        upload, self.upload = self.upload or (self._left.upload if self._left is not None else ""), ""
        self._left = None
        self._sent.clear()
        if upload:
            await self._abort(upload)

    async def _send_rest(self, client: ObjectParts, file: LocalFile, header: int) -> range:
        """Send the parts that are not there as they are in `file`; the numbers of all."""
        slots = asyncio.Semaphore(PARALLEL)

        async def send(number: int, part: bytes) -> None:
            try:
                self._sent[number] = await client.send(self._key, self.upload, number, part)
            finally:
                slots.release()

        number = 0
        try:
            async with asyncio.TaskGroup() as group:
                async for part in file.parts(sizes_of_parts(header, self.first)):
                    number += 1
                    known = self._sent.get(number)
                    if known is None or (known.size, known.md5) != (len(part), file.digests.last):
                        await slots.acquire()
                        group.create_task(send(number, part), name=f"part {number}")
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return range(1, number + 1)

    async def _take_up(self) -> None:
        """Go on with what was left, and abort what nobody will go on with."""
        left, self._left = self._left, None
        if left is None or (client := await self._opened()) is None:
            return
        if left.upload:
            try:
                self._sent = {part.number: part for part in await client.sent(self._key, left.upload)}
                self.upload = left.upload
            except EgressError as error:
                if error.retryable:
                    self._left = left
                    raise
                logger.info("the upload of %s is begun anew: %s", self._key, error.message)
        try:
            pending = await client.pending(self._key)
        except EgressError as error:
            # Not everybody may list them.
            logger.info("uploads of %s that were left are not looked for: %s", self._key, error.message)
            return
        for one in pending:
            if one.upload != self.upload and one.begun >= left.since - _CLOCKS:
                await self._abort(one.upload)

    async def _abort(self, upload: str) -> None:
        for pause in (*_ABORT_PAUSES, 0.0):
            try:
                if (client := await self._opened()) is not None:
                    await client.abort(self._key, upload)
                return
            except EgressError as error:
                if not pause or not error.retryable:
                    logger.warning("parts of %s are left behind: %s", self._key, error.message)
                    return
            # A part whose connection broke may still be written there.
            await asyncio.sleep(pause)

    async def _opened(self) -> ObjectParts | None:
        if self._client is None:
            self._client = await open_parts(self._storage)
        return self._client
