"""The way to one storage of an egress: attempts until an object is confirmed, and the backup if that takes too long."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.lifecycle.uploading import UploadTried
from pyegress.plan.containers import content_type
from pyegress.plan.storage import AliOssStorage, AzureStorage, S3Storage, Storage
from pyegress.storage.ahead import Ahead
from pyegress.storage.destination import Destination, Stored, open_destination
from pyegress.storage.failures import both_failed
from pyegress.storage.locations import host_of
from pyegress.storage.objects import ObjectKind
from pyegress.storage.parted import LeftUpload, PartedUpload

logger = logging.getLogger(__name__)

#: Seconds between attempts: the first pause, and the longest.
FIRST_PAUSE, LAST_PAUSE = 0.25, 15.0
#: How long a storage may fail for a cause that may pass, before the backup is used, seconds.
BACKUP_PATIENCE = 10.0
_STATUS = re.compile(r"\(HTTP (\d)\d\d")


@dataclass(frozen=True, slots=True)
class Brought:
    """A confirmed object; `backup`: on the backup storage."""

    stored: Stored
    backup: bool


class Lane:
    """Any number of `put` at once. All of them share what is known of the storage."""

    def __init__(
        self,
        storage: Storage,
        backup: Storage | None,
        directory: str,
        *,
        on_tried: Callable[[UploadTried], None],
    ) -> None:
        self._storage = storage
        self._backup = backup
        self._directory = directory
        self._on_tried = on_tried
        self._destination: Destination = open_destination(storage, directory)
        self._second: Destination | None = None
        #: Once an object went to the backup, all that come after it do: what belongs together stays together.
        self._on_backup = False
        self._failing_since: Monotonic | None = None
        #: Why nothing gets through.
        self.failing = ""

    def close(self) -> None:
        """Let go of connections. What is brought after that opens others."""
        self._destination = open_destination(self._storage, self._directory)
        self._second = None

    def parted(self, name: str, left: LeftUpload | None = None) -> PartedUpload | None:
        """As `Destination`, where the first storage is used."""
        return None if self._on_backup else self._destination.parted(name, content_type(name), left)

    async def put(
        self,
        path: Path,
        name: str,
        kind: str,
        *,
        sent: Callable[[int], None],
        patience: Callable[[Monotonic], float],
        ahead: Ahead | None = None,
    ) -> Brought:
        """Bring a file there. `patience(since)`: seconds that are left when the storage fails since then. `ahead` has
        sent parts of it to the first storage.

        Raises OutputFailed; the file is as it was.
        """
        first: OutputFailed | None = None
        if not self._on_backup:

            def wait(since: Monotonic) -> float:
                left = patience(since)
                return left if self._backup is None else min(left, since + BACKUP_PATIENCE - monotonic())

            try:
                first_choice = self._destination
                return Brought(await self._attempts(first_choice, path, name, kind, sent, wait, ahead), backup=False)
            except OutputFailed as error:
                # A file that cannot be read is no fault of the storage.
                if self._backup is None or error.fault is Fault.SERVER:
                    raise
                first = error
                logger.warning("%s; the backup storage is used", error.message)
                self._on_backup, self._failing_since = True, None
        assert self._backup is not None
        if self._second is None:
            self._second = open_destination(self._backup, self._directory)
        try:
            return Brought(await self._attempts(self._second, path, name, kind, sent, patience), backup=True)
        except OutputFailed as error:
            raise (both_failed(first, error) if first is not None else error) from None

    async def _attempts(
        self,
        destination: Destination,
        path: Path,
        name: str,
        kind: str,
        sent: Callable[[int], None],
        patience: Callable[[Monotonic], float],
        ahead: Ahead | None = None,
    ) -> Stored:
        pause = FIRST_PAUSE
        while True:
            progress = _Counted(sent)
            begun = monotonic()
            try:
                stored = await destination.put(
                    path, name, content_type(name), sent=progress, ahead=ahead, look=kind == ObjectKind.FILE.value
                )
            except EgressError as error:
                progress.take_back()
                failed = error if isinstance(error, OutputFailed) else _as_failure(error)
                self._tried(name, kind, begun, failed, destination)
                if not failed.retryable:
                    raise failed from None
                self._failing_since = self._failing_since or begun
                if (left := patience(self._failing_since)) <= 0:
                    raise failed from None
                if not self.failing:
                    logger.warning("%s; it is tried again", failed.message)
                self.failing = failed.message
                await asyncio.sleep(min(pause, left))
                pause = min(pause * 2, LAST_PAUSE)
            except BaseException:
                progress.take_back()
                raise
            else:
                self._tried(name, kind, begun, None, destination)
                if self.failing:
                    logger.info("uploads to %s go through again", self._storage.label)
                self.failing, self._failing_since = "", None
                return stored

    def _tried(
        self, name: str, kind: str, begun: Monotonic, error: OutputFailed | None, destination: Destination
    ) -> None:
        backup = destination is self._second
        storage = self._backup if backup and self._backup is not None else self._storage
        status = "success"
        if error is not None:
            found = _STATUS.search(error.message)
            status = f"{found[1]}xx" if found and found[1] in "45" else "internal"
        took = (monotonic() - begun) * 1000
        self._on_tried(UploadTried(content_type(name), kind, status, took, custom_endpoint(storage), backup))


def custom_endpoint(storage: Storage) -> str:
    """The host of a storage that is not the provider's own."""
    if isinstance(storage, S3Storage | AzureStorage | AliOssStorage):
        return host_of(storage.endpoint)
    return ""


def _as_failure(error: EgressError) -> OutputFailed:
    return OutputFailed(
        error.message, remedy=error.remedy, field=error.field, code=error.code, retryable=error.retryable
    )


class _Counted:
    """Tells what is sent, and takes it back when it was in vain."""

    def __init__(self, sent: Callable[[int], None]) -> None:
        self._sent = sent
        self._count = 0

    def __call__(self, count: int) -> None:
        self._count += count
        self._sent(count)

    def take_back(self) -> None:
        self._sent(-self._count)
        self._count = 0
