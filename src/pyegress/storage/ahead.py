"""Sends a file while it grows, part by part, so that little is left to do at its end.

Never in a hurry: what is not sent then is sent when the file is finished.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from pyegress.errors import EgressError, OutputFailed
from pyegress.storage.parted import PartedUpload, part_bytes

logger = logging.getLogger(__name__)

#: A file that does not grow beyond this is sent when it is finished, bytes.
LEAST = 16 << 20
#: Seconds before a part that failed is sent again: the first pause, and the longest.
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 15.0
#: How long a part that is on its way may take when the file is finished, seconds.
_LAST_PART = 20.0
#: ... and any request when nothing of the file is wanted, seconds.
_LAST_REQUEST = 5.0


class Ahead:
    """One growing file. On the event loop."""

    def __init__(
        self,
        path: Path,
        parted: PartedUpload,
        *,
        header_of: Callable[[int], int],
        version: int = 0,
        on_begun: Callable[[str, int], None] | None = None,
    ) -> None:
        """`header_of` tells where in a file of this kind the bytes begin that stay, by its descriptor.

        `version` tells files apart that have the same name one after the other. `on_begun` is told the id of the
        upload, and bytes behind the header that are held back.
        """
        self.parted = parted
        self.version = version
        #: Why nothing gets through, "" when all is well.
        self.failing = ""
        self._path = path
        self.header_of = header_of
        self._on_begun = on_begun
        self._size = 0
        self._over = False
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def grown(self, size: int) -> None:
        """The first `size` bytes of the file stay as they are, but for its header."""
        self._size = size
        if self._task is None and size >= LEAST and not self._over:
            self._task = asyncio.create_task(self._run(), name=f"upload of {self._path.name} while it grows")
        self._changed.set()

    def stop(self) -> None:
        """Send no more than what is on its way. Idempotent."""
        self._over = True
        self._changed.set()

    async def aclose(self, patience: float = _LAST_PART) -> None:
        """Send no more; wait so many seconds for the part that is on its way."""
        self.stop()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=patience)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def discard(self) -> None:
        """Send no more, and leave no part behind."""
        # Whoever is cut off while it begins does not know what it has begun.
        await self.aclose(_LAST_REQUEST)
        await self.parted.abort()

    async def _run(self) -> None:
        try:
            # Who finishes the file gives its name to another one; this one is read to its end.
            fd = await asyncio.to_thread(os.open, self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                await self._send(fd)
            finally:
                # Frees the blocks of a large file, which takes a while.
                await asyncio.shield(asyncio.to_thread(os.close, fd))
        except OSError as error:
            logger.warning("%s is uploaded when it is finished: %s", self._path.name, error.strerror)
        except EgressError as error:
            logger.warning("%s is uploaded when it is finished: %s", self._path.name, error.message)
            await self.parted.abort()
        finally:
            self._over = True

    async def _send(self, fd: int) -> None:
        """Part by part, until it is over. Raises OutputFailed for what will not pass by itself."""
        at = await asyncio.to_thread(self.header_of, fd) + self.parted.first
        number = 2
        while not self._over:
            size = part_bytes(number)
            if self._size < at + size:
                self._changed.clear()
                await self._changed.wait()
                continue
            if not await self._until_sent(fd, number, at, size):
                return
            at += size
            number += 1

    async def _until_sent(self, fd: int, number: int, at: int, size: int) -> bool:
        """False when it is over before that."""
        pause = _FIRST_PAUSE
        while not self._over:
            try:
                if not self.parted.upload:
                    if not await self.parted.begin():
                        return False
                    if self._on_begun is not None:
                        self._on_begun(self.parted.upload, self.parted.first)
                part = await asyncio.to_thread(os.pread, fd, size, at)
                if len(part) < size:
                    return False
                await self.parted.send(number, part)
            except OutputFailed as error:
                if not error.retryable:
                    raise
                if not self.failing:
                    logger.warning("%s; it is tried again", error.message)
                self.failing = error.message
                await self._rest(pause)
                pause = min(pause * 2, _LAST_PAUSE)
            else:
                self.failing = ""
                return True
        return False

    async def _rest(self, seconds: float) -> None:
        """A pause, which ends when it is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self._over and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return
