"""How finished objects get to where the plan wants them, and where they are written before."""

from __future__ import annotations

import asyncio
import os.path
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyegress.outputs.written import Written
from pyegress.plan.storage import Storage
from pyegress.storage.objects import ObjectKind as ObjectKind

if TYPE_CHECKING:
    from pyegress.storage.parted import LeftUpload


@dataclass(frozen=True, slots=True)
class Delivered:
    """An object that is where it belongs: its name as the request means it, its URL or absolute path, bytes."""

    name: str
    location: str
    size: int
    #: The first choice failed, and this is on the backup storage.
    backup: bool = False
    #: Another object had its name.
    replaced: bool = False

    @property
    def warning(self) -> str:
        """What should be known of it; "" when all is well."""
        if not self.replaced:
            return ""
        return f"{self.name} was in the storage already and has been replaced; put {{time}} or {{room_id}} in names"


#: Is told that an upload of a file that still grows has begun: its id, and bytes behind the header that are held back.
OnBegun = Callable[[str, int], None]


class Delivery(Protocol):
    """Where the objects of one egress go. On the event loop; nothing blocks."""

    def place(self, name: str, storage: Storage) -> Path:
        """Where the object `name` (a path below the storage's root) is written on this machine."""

    def grown(self, path: Path, written: Written, on_begun: OnBegun | None = None) -> None:
        """So much of a file stays as it is: what can be is brought to its storage while the rest is recorded."""

    def left(self, path: Path, left: LeftUpload) -> None:
        """An earlier process may have left an upload of what is about to be delivered."""

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        """Bring what was written at a place to its storage. The future raises EgressError when that cannot be done."""

    def release(self, path: Path) -> None:
        """What was delivered is no longer needed here: remove it, unless this is where it belongs."""

    async def aclose(self) -> None:
        """Wait for what is under way, as long as that makes sense. Idempotent."""


class InPlace:
    """A `Delivery` to the local disk: objects are written where they stay."""

    def __init__(self, directory: str = "") -> None:
        """Names that are relative go below `directory`, "" is the current folder."""
        self._directory = directory
        self._names: dict[Path, str] = {}

    def place(self, name: str, storage: Storage) -> Path:
        below = os.path.join(storage.prefix, name.lstrip("/")) if storage.prefix else name
        path = Path(self._directory, below)
        self._names[path.absolute()] = name
        return path

    def grown(self, path: Path, written: Written, on_begun: OnBegun | None = None) -> None:
        """It is where it belongs."""

    def left(self, path: Path, left: LeftUpload) -> None:
        """It is where it belongs."""

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        done: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
        path = path.absolute()
        done.set_result(Delivered(self._names.get(path, str(path)), str(path), path.stat().st_size))
        return done

    def release(self, path: Path) -> None:
        """It belongs here."""

    async def aclose(self) -> None:
        """Everything is in its place."""
