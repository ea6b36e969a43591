"""Remembers where the objects of an egress went: what its manifest names."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.clock import Wall, wall
from pyegress.outputs.written import Written
from pyegress.plan.storage import Storage
from pyegress.worker.delivery import Delivered, Delivery, ObjectKind, OnBegun

if TYPE_CHECKING:
    from pyegress.storage.parted import LeftUpload


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivered object, and when its content was made: images carry that in their file."""

    kind: ObjectKind
    delivered: Delivered
    storage: Storage | None
    made: Wall


class Catalogue:
    """A `Delivery` around another one."""

    def __init__(self, inner: Delivery, *, remember: bool = True) -> None:
        """Without `remember` nothing is listed: weeks of segments cost nothing."""
        self._inner = inner
        self._remember = remember
        #: Whether anything went to the backup storage.
        self.backup_used = False
        self._storages: dict[Path, Storage] = {}
        #: In the order in which they were handed over; what is delivered again is where it was first.
        self._entries: dict[str, Entry | None] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everything that is delivered."""
        return tuple(entry for entry in self._entries.values() if entry is not None)

    def place(self, name: str, storage: Storage) -> Path:
        path = self._inner.place(name, storage)
        self._storages[path] = storage
        return path

    def grown(self, path: Path, written: Written, on_begun: OnBegun | None = None) -> None:
        self._inner.grown(path, written, on_begun)

    def left(self, path: Path, left: LeftUpload) -> None:
        self._inner.left(path, left)

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        made = wall()
        with suppress(OSError):
            made = Wall(path.stat().st_mtime)
        key = f"{kind.value} {path}"
        if self._remember:
            self._entries.setdefault(key, None)
        future = self._inner.deliver(path, kind)
        future.add_done_callback(partial(self._over, key, kind, self._storages.pop(path, None), made))
        return future

    def release(self, path: Path) -> None:
        self._inner.release(path)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _over(
        self, key: str, kind: ObjectKind, storage: Storage | None, made: Wall, future: asyncio.Future[Delivered]
    ) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        self.backup_used = self.backup_used or future.result().backup
        if self._remember:
            known = self._entries.get(key)
            storage = storage if known is None else known.storage
            self._entries[key] = Entry(kind, future.result(), storage, made)
