"""What a worker writes into the journal of its egress, and the delivery that is journalled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from livekit.protocol import egress as pb

from pyegress.clock import Wall, wall
from pyegress.errors import EgressError, OutputFailed
from pyegress.lifecycle.outcome import Outcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.outputs.left_file import checksum_of, finish_left
from pyegress.outputs.written import Written
from pyegress.plan.containers import MANIFEST
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.redact import redacted
from pyegress.plan.storage import Storage
from pyegress.plan.written_names import written_name
from pyegress.storage.digests import PART
from pyegress.storage.journal import Journal
from pyegress.storage.journal_entries import (
    Attempted,
    Begun,
    Delivered,
    Entry,
    Finished,
    Moved,
    ObjectKey,
    Parted,
    Planned,
    Record,
    Refused,
    Seen,
    SpooledObject,
    SpoolState,
    Told,
    Withdrawn,
)
from pyegress.storage.name_claims import NameClaims
from pyegress.storage.objects import ObjectKind
from pyegress.storage.parted import LeftUpload
from pyegress.storage.spool import MEDIA, SpoolFolder
from pyegress.worker import delivery as seam
from pyegress.worker.delivery import Delivery
from pyegress.worker.progress import Progress

logger = logging.getLogger(__name__)

#: What was found out of second 0 later is told when it makes a difference, seconds.
_SAME_TIME = 0.001
#: Objects of which an output has many.
_MANY = (".ts", ".m4s", ".jpeg", ".jpg", ".json")


class Spooled:
    """An egress's folder, claimed by this process. Used as `async with`; methods on the event loop, none blocks."""

    def __init__(self, folder: SpoolFolder) -> None:
        self.folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._stack = AsyncExitStack()
        self._journal: Journal | None = None
        self._state: SpoolState | None = None
        self._zero: Wall | None = None
        self._seen: dict[int, TrackSpan] = {}
        self._failed = False
        self._claims = NameClaims(folder)

    async def __aenter__(self) -> Self:
        """Raises EgressError when another process works on the folder, or when there is none."""
        try:
            self._stack.enter_context(self.folder.claim())
            self._journal = await asyncio.to_thread(self.folder.journal)
        except OSError as error:
            raise EgressError(
                f"The folder {self.folder.path} of the spool cannot be used: {error.strerror}",
                field="spool.directory",
                remedy="Check the disk that the spool is on",
            ) from error
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.flush()
        self._thread.shutdown()
        if self._journal is not None:
            self._journal.close()
        await self._stack.aclose()

    def append(self, *entries: Entry) -> None:
        """Write entries, soon and in order. A disk that refuses is logged: nothing that runs ends over it."""
        self._thread.submit(self._append, entries)

    async def flush(self) -> None:
        """Everything that was appended is written, or was refused."""
        await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)

    async def record(self) -> Record:
        """What the journal says, all that was appended included."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.folder.record)

    def move(self, state: SpoolState, reason: str = "") -> None:
        """Enter a state, once."""
        if state is not self._state:
            self._state = state
            self.append(Moved(wall(), state, reason))

    def follow(self, progress: Progress) -> None:
        """How a recording stands: when it began, what came and went in it, and that it ends."""
        if progress.elapsed > 0:
            zero = progress.started_at or self._zero or Wall(wall() - progress.elapsed)
            if self._zero is None or abs(zero - self._zero) > _SAME_TIME:
                self._zero = zero
                self.append(Begun(wall(), zero))
        for number, track in enumerate(progress.spans):
            if self._seen.get(number) != track:
                self._seen[number] = track
                self.append(Seen(wall(), number, track))
        if progress.state is RecordingState.ENDING:
            self.move(SpoolState.FINISHING, progress.end_reason.value if progress.end_reason else "")

    def leave(self, info: pb.EgressInfo) -> None:
        """Nobody hears how it ended: the next supervisor tells it."""
        self.append(Told(wall(), redacted(info).SerializeToString()))

    async def sync(self) -> None:
        """Everything that was appended outlives a power cut."""
        if self._journal is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._journal.sync)

    def journalled(
        self, inner: Delivery, plan: RecordingPlan, record: Record | None = None, *, keep: bool = False
    ) -> Journalled:
        """`inner`, whose objects are in the journal; those of `record` are there already.

        What is delivered is released, once the journal knows it, unless it is to be kept.
        """
        return Journalled(self, inner, storages_of(plan), record or Record(), keep=keep)

    def claim_name(self, name: str) -> None:
        """Keep others from writing a name. Raises OutputFailed when another egress has it."""
        try:
            self._claims.take(name)
        except OSError as error:
            logger.error("the name %s is not claimed: %s", name, error.strerror)

    async def settle(self, outcome: Outcome) -> Outcome:
        """Enter the last state that is true, and say what is not delivered: as pending if it may yet be."""
        record = await self.record()
        durations = {file.filename: file.duration for file in outcome.files}
        for item in record.objects.values():
            # Whoever tells it after us does not have the file.
            if item.kind is ObjectKind.FILE and not item.duration and item.key.name in durations:
                whole = Finished(wall(), item.key, item.kind, item.size or 0, item.checksum, durations[item.key.name])
                self.append(whole)
        waiting = []
        for item in record.waiting:
            # Nobody waits for a manifest: everybody is told what it says.
            if not self._is_manifest(item) and (item.finished or await self._there(item)):
                waiting.append(item)
            else:
                self.append(Withdrawn(wall(), item.key))
        if not waiting:
            self.move(SpoolState.DONE)
            await self.flush()
            await asyncio.to_thread(self._claims.release)
            return outcome
        reasons = tuple(dict.fromkeys(item.reason for item in waiting if item.reason))
        retryable = all(item.retryable for item in waiting)
        reason = "; ".join(reasons) or "not everything was finished"
        self.move(SpoolState.UPLOADING)
        self.append(Attempted(wall(), reason, retryable))
        await self.flush()
        if not retryable:
            return outcome
        ours = outcome.error is not None and any(outcome.error.message in one for one in reasons)
        reasoned = replace(outcome, error=None, reason=outcome.reason) if ours else outcome
        return replace(reasoned, pending=reason)

    def _is_manifest(self, item: SpooledObject) -> bool:
        return item.kind is ObjectKind.MANIFEST or item.key.name.endswith(self.folder.path.name + MANIFEST[0])

    async def _there(self, item: SpooledObject) -> bool:
        return await asyncio.to_thread(self.folder.path_of(item).exists)

    def _append(self, entries: tuple[Entry, ...]) -> None:
        assert self._journal is not None
        try:
            self._journal.append(*entries)
        except OSError as error:
            if not self._failed:
                logger.error("the journal of the spool is not written: %s", error.strerror)
            self._failed = True
        else:
            self._failed = False


def storages_of(plan: RecordingPlan) -> tuple[Storage, ...]:
    """The storages of a plan's outputs, each once, in the order of the outputs: what keys of objects count."""
    storages = (getattr(output, "storage", None) for output in plan.outputs)
    return tuple(dict.fromkeys(storage for storage in storages if storage is not None))


class Journalled:
    """A `Delivery` that tells the journal: what is planned, finished, delivered or refused."""

    def __init__(
        self, spooled: Spooled, inner: Delivery, storages: tuple[Storage, ...], record: Record, *, keep: bool
    ) -> None:
        self._keep = keep
        self._spooled = spooled
        self._inner = inner
        self._storages = storages
        folder = spooled.folder
        self._media = folder.path.absolute() / MEDIA
        self._keys: dict[Path, ObjectKey] = {folder.path_of(item): item.key for item in record.objects.values()}
        self._left = dict(record.objects)
        self._tasks: set[asyncio.Future[seam.Delivered]] = set()

    def place(self, name: str, storage: Storage) -> Path:
        # Segments and images belong to their playlist and their prefix.
        if "{" not in name and not name.endswith(_MANY):
            self._spooled.claim_name(written_name(name, storage))
        path = self._inner.place(name, storage).absolute()
        key = ObjectKey(self._storages.index(storage), name)
        if self._keys.get(path) != key:
            self._keys[path] = key
            # What was left lies where the journal says, wherever it would go today.
            if key not in self._left:
                self._spooled.append(Planned(wall(), key, self._spooled.folder.spelled(path)))
        return path

    def grown(self, path: Path, written: Written, on_begun: seam.OnBegun | None = None) -> None:
        key = self._keys.get(path)

        def begun(upload: str, first: int) -> None:
            if key is not None:
                self._spooled.append(Parted(wall(), key, upload, first))

        self._inner.grown(path, written, begun)

    def left(self, path: Path, left: LeftUpload) -> None:
        self._inner.left(path, left)

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[seam.Delivered]:
        path = path.absolute()
        # Playlists at once: they are delivered again and again, in order. What is delivered once may be gone then.
        delivering = self._inner.deliver(path, kind) if kind is ObjectKind.PLAYLIST else None
        task = asyncio.ensure_future(self._deliver(path, kind, delivering))
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def release(self, path: Path) -> None:
        """What is in the spool goes when it is delivered, or with its folder."""

    async def aclose(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._inner.aclose()

    def _over(self, task: asyncio.Future[seam.Delivered]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever wanted to know it has it

    async def _deliver(
        self, path: Path, kind: ObjectKind, delivering: asyncio.Future[seam.Delivered] | None
    ) -> seam.Delivered:
        key = self._keys.get(path)
        if key is None:
            return await (delivering or self._inner.deliver(path, kind))
        size, checksum, duration = await asyncio.to_thread(_facts, path, kind)
        self._spooled.append(Finished(wall(), key, kind, size, checksum, duration))
        if (left := self._left.get(key)) is not None and size > PART:
            self._inner.left(path, left_upload(left))
        try:
            delivered = await (delivering or self._inner.deliver(path, kind))
        except EgressError as error:
            self._spooled.append(Refused(wall(), key, error.message, error.retryable))
            raise
        self._spooled.append(Delivered(wall(), key, delivered.location, delivered.backup))
        # Playlists are written again.
        if not self._keep and kind is not ObjectKind.PLAYLIST and path.is_relative_to(self._media):
            with suppress(OSError):
                await self._spooled.sync()
                await asyncio.to_thread(self._inner.release, path)
        return delivered


def left_upload(item: SpooledObject) -> LeftUpload:
    """What its process may have left of its upload."""
    since = item.planned or Wall(0.0)
    return LeftUpload(since, item.parted.upload, item.parted.first) if item.parted is not None else LeftUpload(since)


def _facts(path: Path, kind: ObjectKind) -> tuple[int, str, float]:
    """Size, checksum, and how long a file plays: whoever is killed after its delivery has no file to look at any more.

    Of one that is gone already, because it is delivered, nothing.
    """
    if kind is ObjectKind.FILE:
        with suppress(OutputFailed):
            if (whole := finish_left(path)) is not None:
                return whole.size, whole.checksum, whole.duration
    with suppress(OSError):
        return path.stat().st_size, checksum_of(path), 0.0
    return 0, "", 0.0


#: Makes the delivery of a plan journalled.
Wrap = Callable[[Delivery, RecordingPlan], Delivery]


def end_reason(text: str) -> EndReason:
    """The reason that a journal tells; without one the process was killed."""
    return next((reason for reason in EndReason if reason.value == text), EndReason.PROCESS_KILLED)


def named_kind(item: SpooledObject, plan: RecordingPlan) -> ObjectKind:
    """What an object is that was never finished, by its name."""
    if item.kind is not None:
        return item.kind
    for output in plan.outputs:
        names = getattr(output, "names", None)
        if names is not None and item.key.name in (names.playlist, names.live_playlist):
            return ObjectKind.PLAYLIST
        if names is not None and item.key.name.startswith(names.prefix):
            return ObjectKind.SEGMENT
        if item.key.name.startswith(getattr(output, "prefix", "\0")):
            return ObjectKind.IMAGE
    return ObjectKind.MANIFEST if item.key.name.endswith(".json") else ObjectKind.FILE
