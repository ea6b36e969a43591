"""What uploads need of a place for objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyegress.plan.storage import LocalStorage, Storage

if TYPE_CHECKING:
    from pyegress.storage.ahead import Ahead
    from pyegress.storage.parted import LeftUpload, PartedUpload


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that was read back: its URL or absolute path, and bytes. `replaced`: another one had its name."""

    location: str
    size: int
    replaced: bool = False


class Destination(Protocol):
    """A bucket or a folder."""

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
        """Bring the file `path` there as the object `name`; returns when it is confirmed. Raises OutputFailed.

        What is seen under the name is the old object or the whole new one. `sent` is told of every piece, bytes; what
        `ahead`, with an upload of this destination, has sent while the file grew is not sent again. `look`: find out
        whether anything is replaced.
        """

    def parted(self, name: str, content_type: str, left: LeftUpload | None = None) -> PartedUpload | None:
        """An upload of an object whose file still grows, or that an earlier process may have left; None where that
        is not possible."""


def open_destination(storage: Storage, directory: str = "") -> Destination:
    """The place that a plan describes. Relative names on the local disk go below `directory`."""
    if isinstance(storage, LocalStorage):
        from pyegress.storage.folder import Folder

        return Folder(storage, directory)
    # A client costs 10 MB of memory, which recordings to the local disk need not pay.
    from pyegress.storage.bucket import Bucket

    return Bucket(storage)
