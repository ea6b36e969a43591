"""What an upload in parts needs of a storage: one request at a time, parts in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pyegress.clock import Wall
from pyegress.plan.storage import AliOssStorage, AzureStorage, S3Storage, Storage


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that the storage has. `md5` in hex: of what was sent, or as the storage tells it; `tag` names it there."""

    number: int
    size: int
    md5: str
    tag: str


@dataclass(frozen=True, slots=True)
class Pending:
    """An upload that was begun and not ended."""

    key: str
    upload: str
    begun: Wall


class ObjectParts(Protocol):
    """One bucket. Any number of calls at once; each is one attempt and raises OutputFailed."""

    async def begin(self, key: str, content_type: str) -> str:
        """Begin an upload; its id."""

    async def send(self, key: str, upload: str, number: int, part: bytes) -> SentPart:
        """Bring one part there; one with the same number is replaced."""

    async def sent(self, key: str, upload: str) -> list[SentPart]:
        """The parts that an upload has, in the order of their numbers."""

    async def complete(self, key: str, upload: str, parts: list[SentPart], content_type: str) -> str:
        """Make the object of its parts; the ETag that S3 would give it, read back."""

    async def abort(self, key: str, upload: str) -> None:
        """Forget an upload and its parts. Idempotent."""

    async def pending(self, key: str) -> list[Pending]:
        """Uploads of one object that were begun and not ended, as far as they are to be aborted."""


async def open_parts(storage: Storage) -> ObjectParts | None:
    """None where credentials are not in our hands, or parts cannot be of any size. Raises OutputFailed."""
    match storage:
        case S3Storage() | AliOssStorage():
            from pyegress.storage.s3_parts import S3Parts

            return await S3Parts.open(storage)
        case AzureStorage() if storage.account_key:
            from pyegress.storage.azure_blocks import AzureBlocks

            return AzureBlocks(storage)
    return None
