"""A delivery to storages: objects are written below a folder of this machine and uploaded from there."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyegress.clock import Monotonic, monotonic
from pyegress.errors import Code, EgressError, OutputFailed
from pyegress.lifecycle.uploading import UploadProgress, UploadTried
from pyegress.outputs.progressive_mp4 import media_start
from pyegress.outputs.written import Written
from pyegress.plan.output_names import clean_path
from pyegress.plan.storage import LocalStorage, Storage
from pyegress.storage.ahead import LEAST, Ahead
from pyegress.storage.lane import Lane
from pyegress.storage.parted import LeftUpload
from pyegress.worker.delivery import Delivered, InPlace, ObjectKind, OnBegun

logger = logging.getLogger(__name__)

#: Objects on their way at the same time.
AT_ONCE = 4
#: Objects that may wait: an hour of segments of one second.
MOST_WAITING = 3600
#: How long a storage may fail while the recording goes on, and when it has ended, seconds. What is not through then
#: stays on the disk and is told as an error that may pass.
PATIENCE, LAST_PATIENCE = 3600.0, 180.0


@dataclass(slots=True)
class _Place:
    """A name that objects are written under, once or again and again. Times are counted, not measured."""

    name: str
    storage: Storage
    #: How often it was asked for, so how many versions there are or will be; and the last one that is confirmed.
    asked: int = 0
    confirmed: int = 0


@dataclass(slots=True)
class _Object:
    """Something that is to be uploaded, and whoever waits for the version that is on the disk now."""

    path: Path
    place: _Place
    kind: ObjectKind
    size: int
    #: How often its place had been asked for when it was handed over last.
    version: int
    waiting: list[asyncio.Future[Delivered]] = field(default_factory=list)
    #: What was sent of it while it grew, or by an earlier process.
    ahead: Ahead | None = None
    sent: int = 0


class Uploads:
    """A `Delivery`. What goes to the local disk is written in its place, as `InPlace` does."""

    def __init__(
        self,
        scratch: Path,
        *,
        directory: str = "",
        backup: Storage | None = None,
        keep: bool = False,
        on_tried: Callable[[UploadTried], None] = lambda tried: None,
    ) -> None:
        """Objects for storages are written below `scratch`, and removed when they are confirmed; with `keep` by
        `release`. Relative names on the local disk go below `directory`."""
        self._scratch = scratch.absolute()
        self._local = InPlace(directory)
        self._directory = directory
        self._backup = backup
        self._keep = keep
        self._on_tried = on_tried
        self._storages: list[Storage] = []
        self._lanes: dict[int, Lane] = {}
        self._places: dict[Path, _Place] = {}
        #: By path, while a version is on its way or waits.
        self._objects: dict[Path, _Object] = {}
        #: By path, what is uploaded while it grows.
        self._growing: dict[Path, Ahead] = {}
        self._queue: deque[_Object] = deque()
        self._active: set[asyncio.Task[None]] = set()
        self._in_turn = 0
        self._delivered = self._bytes_delivered = 0
        self._ending_since: Monotonic | None = None
        self._given_up = False

    @property
    def progress(self) -> UploadProgress:
        objects = self._objects.values()
        return UploadProgress(
            waiting=len(self._objects),
            bytes_waiting=sum(max(0, item.size - item.sent) for item in objects),
            delivered=self._delivered,
            bytes_delivered=self._bytes_delivered,
            failing=next(filter(None, self._failing()), ""),
            segments_waiting=sum(item.kind is ObjectKind.SEGMENT for item in objects),
            playlists_waiting=sum(item.kind is ObjectKind.PLAYLIST for item in objects),
        )

    def place(self, name: str, storage: Storage) -> Path:
        """As `Delivery`: below the scratch folder, under its own name, for a storage that is not the local disk."""
        if isinstance(storage, LocalStorage):
            return self._local.place(name, storage)
        inside = clean_path(name.lstrip("/")) or "unnamed"
        path = self._scratch / str(self._number(storage)) / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        self._places.setdefault(path, _Place(name, storage)).asked += 1
        return path

    def grown(self, path: Path, written: Written, on_begun: OnBegun | None = None) -> None:
        """As `Delivery`: where storages take parts in any order, and the file is large."""
        place = self._places.get(path)
        if place is None or path in self._objects or self._given_up:
            return
        ahead = self._growing.get(path)
        if ahead is not None and ahead.version != written.version:
            # It is another file now.
            self._start(self._growing.pop(path).discard())
            ahead = None
        if ahead is None:
            if written.size < LEAST or (parted := self._lane(place.storage).parted(place.name)) is None:
                return
            ahead = Ahead(path, parted, header_of=media_start, version=written.version, on_begun=on_begun)
            self._growing[path] = ahead
        ahead.grown(written.size)

    def left(self, path: Path, left: LeftUpload) -> None:
        """As `Delivery`: its parts are not sent again, and none is left behind."""
        place = self._places.get(path)
        if place is not None and (parted := self._lane(place.storage).parted(place.name, left)) is not None:
            self._growing[path] = Ahead(path, parted, header_of=media_start)

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        """As `Delivery`: a future for each call. Versions that are outrun by newer ones are left out."""
        path = Path(os.path.abspath(path))
        place = self._places.get(path)
        if place is None:
            return self._local.deliver(path, kind)
        future: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
        # Whoever is not interested need not look at it.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if (known := self._objects.get(path)) is not None:
            known.waiting.append(future)
            known.version = place.asked
            return future
        if len(self._queue) >= MOST_WAITING:
            future.set_exception(_queue_full(place.storage, len(self._queue), path))
            return future
        size = 0
        with suppress(OSError):
            size = path.stat().st_size
        ahead = self._growing.pop(path, None)
        item = self._objects[path] = _Object(path, place, kind, size, place.asked, [future], ahead)
        if kind is ObjectKind.PLAYLIST:
            # Not behind the segments that it does not name yet: viewers wait for it.
            self._start(self._upload(item))
        else:
            self._queue.append(item)
            self._start_next()
        return future

    def release(self, path: Path) -> None:
        """As `Delivery`: the confirmed version is no longer needed on this machine. A newer one stays."""
        place = self._places.get(path)
        if place is not None and place.asked == place.confirmed and path not in self._objects:
            del self._places[path]
            with suppress(OSError):
                path.unlink()

    def finishing(self) -> None:
        """The recording has ended: patience does too. Idempotent."""
        if self._ending_since is None:
            self._ending_since = monotonic()

    def give_up(self) -> None:
        """Bring nothing more: what is not confirmed stays where it is, and is told as an error. Idempotent."""
        self._given_up = True
        loop = asyncio.get_running_loop()
        for task in self._active:
            # One that has only just been made has to begin, or nobody hears of its end.
            loop.call_soon(task.cancel)
        for ahead in self._growing.values():
            ahead.stop()
        self._start_next()

    async def aclose(self) -> None:
        """Wait until everything is confirmed or given up."""
        self.finishing()
        while self._growing:
            # Of files that were not delivered: what was given up may be taken up again.
            ahead = self._growing.popitem()[1]
            self._start(ahead.aclose(0) if self._given_up and self._keep else ahead.discard())
        while self._active:
            await asyncio.wait(self._active)
        for lane in self._lanes.values():
            lane.close()
        if not self._keep:
            await asyncio.to_thread(self._tidy)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _failing(self) -> Iterator[str]:
        yield from (lane.failing for lane in self._lanes.values())
        yield from (ahead.failing for ahead in self._growing.values())

    def _number(self, storage: Storage) -> int:
        if storage not in self._storages:
            self._storages.append(storage)
        return self._storages.index(storage)

    def _lane(self, storage: Storage) -> Lane:
        number = self._number(storage)
        if number not in self._lanes:
            self._lanes[number] = Lane(storage, self._backup, self._directory, on_tried=self._on_tried)
        return self._lanes[number]

    def _patience(self, since: Monotonic) -> float:
        now = monotonic()
        if self._ending_since is None:
            return since + PATIENCE - now
        return max(since, self._ending_since) + LAST_PATIENCE - now

    def _start_next(self) -> None:
        while self._queue and self._given_up:
            item = self._queue.popleft()
            del self._objects[item.path]
            _fail(item.waiting, _broken_off(item, self._lane(item.place.storage).failing))
        while self._queue and self._in_turn < AT_ONCE:
            self._in_turn += 1
            self._start(self._upload_in_turn(self._queue.popleft()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="upload")
        self._active.add(task)
        task.add_done_callback(self._active.discard)

    async def _upload_in_turn(self, item: _Object) -> None:
        try:
            await self._upload(item)
        finally:
            self._in_turn -= 1
            self._start_next()

    async def _upload(self, item: _Object) -> None:
        """Until nobody waits for a newer version."""
        try:
            while item.waiting:
                await self._bring(item)
        finally:
            del self._objects[item.path]
        # Playlists are written again, without anybody saying so before.
        if not self._keep and item.kind is not ObjectKind.PLAYLIST:
            await asyncio.to_thread(self.release, item.path)

    async def _bring(self, item: _Object) -> None:
        waiting, item.waiting = item.waiting, []
        place, version = item.place, item.version
        item.sent = 0

        def sent(count: int) -> None:
            item.sent += count

        try:
            brought = await self._lane(place.storage).put(
                item.path, place.name, item.kind.value, sent=sent, patience=self._patience, ahead=item.ahead
            )
        except EgressError as error:
            _fail(waiting, _kept(error, item.path))
            self._let_go(item)
            return
        except asyncio.CancelledError:
            _fail([*waiting, *item.waiting], _broken_off(item, self._lane(place.storage).failing))
            self._let_go(item)
            raise
        except BaseException as error:
            _fail(waiting, EgressError(f"An upload failed: {type(error).__name__}"))
            raise
        if brought.backup:
            self._let_go(item, discard=True)
        place.confirmed = version
        self._delivered += 1
        self._bytes_delivered += brought.stored.size
        stored = brought.stored
        delivered = Delivered(place.name, stored.location, stored.size, brought.backup, stored.replaced)
        if delivered.warning:
            logger.warning("%s", delivered.warning)
        for future in waiting:
            if not future.done():
                future.set_result(delivered)

    def _let_go(self, item: _Object, *, discard: bool = False) -> None:
        """Parts of what was not delivered: those of the spool are used when it is tried again."""
        ahead, item.ahead = item.ahead, None
        if ahead is not None:
            self._start(ahead.discard() if discard or not self._keep else ahead.aclose(0))

    def _tidy(self) -> None:
        """Remove the copies of what is confirmed, and folders that are empty then."""
        for path in list(self._places):
            self.release(path)
        for folder, _, _ in os.walk(self._scratch, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)


def _fail(waiting: list[asyncio.Future[Delivered]], error: EgressError) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)


def _kept(error: EgressError, path: Path) -> OutputFailed:
    """The error, which says where the object is."""
    remedy = f"{error.remedy}. Until then it is kept in {path}" if error.remedy else f"It is kept in {path}"
    return OutputFailed(
        error.message, remedy=remedy, field=error.field, code=error.code, fault=error.fault, retryable=error.retryable
    )


def _broken_off(item: _Object, failing: str) -> OutputFailed:
    """`failing` says why nothing got through until then."""
    label = item.place.storage.label
    message = failing or f"{label} upload failed: it was broken off"
    return _kept(OutputFailed(message, field=label, retryable=True), item.path)


def _queue_full(storage: Storage, count: int, path: Path) -> OutputFailed:
    return OutputFailed(
        f"{storage.label} upload failed: upload queue full, {count} objects wait for a storage that is too slow",
        field=storage.label,
        code=Code.INTERNAL,
        remedy=f"Use a faster storage or longer segments. The object is kept in {path}",
        retryable=True,
    )
