"""Brings to its end what another process left of an egress: finishes every object from the disk, and delivers it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pyegress.clock import Wall, wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.outcome import Failure, FileOutcome, ImagesOutcome, Outcome, SegmentsOutcome
from pyegress.outputs.disk import temporary_beside
from pyegress.outputs.left_file import LeftFile, checksum_of, finish_left
from pyegress.outputs.left_segments import ListedSegment, finish_playlist, finish_segment
from pyegress.plan.recording_plan import ImageFormat, ImageOutput, RecordingPlan, SegmentOutput
from pyegress.plan.redact import lacks_secrets
from pyegress.storage.journal_entries import Finished, Planned, Record, Refused, SpooledObject, SpoolState, Withdrawn
from pyegress.storage.objects import ObjectKind
from pyegress.worker.delivery import Delivery
from pyegress.worker.left_manifest import left_manifest, manifest_places
from pyegress.worker.spooled import Spooled, end_reason, named_kind, storages_of

logger = logging.getLogger(__name__)

#: Playlists name what must be there before. The manifest, which tells where everything is, is made anew.
_ORDER = (ObjectKind.FILE, ObjectKind.SEGMENT, ObjectKind.IMAGE, ObjectKind.PLAYLIST)
#: What whole images end in; of WebP, whose header says its length, anything.
_ENDS = {ImageFormat.JPEG: b"\xff\xd9", ImageFormat.PNG: b"IEND\xaeB`\x82", ImageFormat.WEBP: b""}
#: Objects that are delivered at the same time.
_AT_ONCE = 8


class LeftEgress:
    """`finish` once. The folder is claimed by `spooled`."""

    def __init__(self, spooled: Spooled, plan: RecordingPlan, delivery: Delivery) -> None:
        self._spooled = spooled
        self._plan = plan
        self._delivery = delivery
        self._storages = storages_of(plan)
        self._errors: list[EgressError] = []
        self._warnings: list[str] = []

    async def finish(self) -> Outcome:
        """What became of the egress. Errors do not raise: they are in the outcome."""
        record = await self._spooled.record()
        if record.state is SpoolState.DONE:
            return self._outcome(record)
        if record.state is not SpoolState.UPLOADING:
            self._spooled.move(SpoolState.FINISHING, record.end_reason)
        for kind in _ORDER:
            for item in record.objects.values():
                # What was delivered is looked at again only to know how long it plays, and playlists, of which some
                # version was delivered, to end them.
                again = kind is ObjectKind.PLAYLIST or (kind is ObjectKind.FILE and not item.duration)
                if named_kind(item, self._plan) is kind and (again or not item.delivered):
                    await self._finish(item, kind, record)
            record = await self._spooled.record()
        self._spooled.move(SpoolState.UPLOADING)
        for kind in _ORDER:
            items = record.objects.values() if kind is ObjectKind.PLAYLIST else record.waiting
            await self._deliver_all([item for item in items if item.kind is kind])
        record = await self._spooled.record()
        await self._write_manifests(record)
        await self._delivery.aclose()
        return self._outcome(await self._spooled.record())

    # -- finishing --------------------------------------------------------------------------------------------------

    async def _finish(self, item: SpooledObject, kind: ObjectKind, record: Record) -> None:
        path = self._spooled.folder.path_of(item)
        try:
            made = await asyncio.to_thread(self._finisher(item, kind, record), path)
        except EgressError as error:
            logger.error("%s is not finished: %s", item.key.name, error)
            self._errors.append(error)
            self._spooled.append(Refused(wall(), item.key, error.message, error.retryable))
            return
        if made is None:
            if not item.finished:
                # Nothing was recorded into it, and nobody wants an empty file.
                with suppress(OSError):
                    await asyncio.to_thread(path.unlink)
                self._spooled.append(Withdrawn(wall(), item.key))
            return
        if made.warning:
            logger.warning("%s", made.warning)
            self._warnings.append(made.warning)
        self._spooled.append(Finished(wall(), item.key, kind, made.size, made.checksum, made.duration))

    def _finisher(self, item: SpooledObject, kind: ObjectKind, record: Record) -> Callable[[Path], LeftFile | None]:
        match kind:
            case ObjectKind.FILE:
                return finish_left
            case ObjectKind.SEGMENT:
                if _is_header(item):
                    return _as_it_is
                header = self._header(item, record)
                path = self._spooled.folder.path_of(header) if header is not None else None
                return lambda segment: finish_segment(segment, path)
            case ObjectKind.PLAYLIST:
                return lambda playlist: self._end_playlist(playlist, item, record)
            case ObjectKind.IMAGE:
                return _whole_image
            case _:
                return _as_it_is

    def _end_playlist(self, path: Path, item: SpooledObject, record: Record) -> LeftFile | None:
        """In a thread."""
        first = ""
        planned = next((output.duration for output in self._plan.outputs if isinstance(output, SegmentOutput)), 1)
        listed = []
        for one in self._of(record, ObjectKind.SEGMENT, item.key.storage):
            if _is_header(one) or not one.finished:
                continue
            header = self._header(one, record)
            source = self._spooled.folder.path_of(header) if header is not None else None
            duration = one.duration
            if not duration:
                # It was whole before; its local copy may be gone.
                made = finish_segment(self._spooled.folder.path_of(one), source)
                duration = made.duration if made is not None else float(planned)
            name = header.key.name if header is not None else ""
            first = first or name
            listed.append(ListedSegment(one.key.name, duration, name))
        return finish_playlist(path, item.key.name, listed, first)

    def _of(self, record: Record, kind: ObjectKind, storage: int) -> list[SpooledObject]:
        return [
            item
            for item in record.objects.values()
            if item.key.storage == storage and named_kind(item, self._plan) is kind
        ]

    def _header(self, item: SpooledObject, record: Record) -> SpooledObject | None:
        """The initialization segment of a segment: the last that was begun before it."""
        header = None
        for one in self._of(record, ObjectKind.SEGMENT, item.key.storage):
            if one is item:
                break
            header = one if _is_header(one) else header
        return header

    # -- delivering -------------------------------------------------------------------------------------------------

    async def _deliver_all(self, items: list[SpooledObject]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def deliver(item: SpooledObject) -> None:
            async with slots:
                await self._deliver(item)

        await asyncio.gather(*(deliver(item) for item in items))

    async def _deliver(self, item: SpooledObject) -> None:
        assert item.kind is not None
        path = self._spooled.folder.path_of(item)
        try:
            if item.key.storage >= len(self._storages):
                raise EgressError(f"The storage of {item.key.name} is not configured any more", field="storage")
            if lacks_secrets(self._storages[item.key.storage]):
                raise EgressError(
                    f"{item.key.name} is not delivered: the credentials of the request were not kept",
                    field="spool.encryption_key",
                    code=Code.FAILED_PRECONDITION,
                    remedy="Send the request again (`pyegress spool retry EGRESS_ID --request FILE`), or take the file "
                    "with `pyegress spool export`. With spool.encryption_key they are kept, encrypted",
                )
            placed = self._delivery.place(item.key.name, self._storages[item.key.storage]).absolute()
            if placed != path.absolute() and placed.is_relative_to(self._spooled.folder.path.absolute()):
                # The same storages in another order.
                await asyncio.to_thread(_moved, path, placed)
                path = placed
                facts = Finished(wall(), item.key, item.kind, item.size or 0, item.checksum, item.duration)
                self._spooled.append(Planned(wall(), item.key, self._spooled.folder.spelled(path)), facts)
            if placed != path.absolute():
                raise EgressError(
                    f"The storage of {item.key.name} was another one when it was recorded",
                    field="storage",
                    remedy="Configure that storage again, or take the file with `pyegress spool export`",
                )
            delivered = await self._delivery.deliver(path, item.kind)
            if delivered.warning:
                self._warnings.append(delivered.warning)
        except (EgressError, OSError) as error:
            failure = error if isinstance(error, EgressError) else EgressError(f"{path} cannot be read: {error}")
            logger.error("%s is not delivered: %s", item.key.name, failure)
            self._errors.append(failure)
            self._spooled.append(Refused(wall(), item.key, failure.message, failure.retryable))

    async def _write_manifests(self, record: Record) -> None:
        """One beside each output that wants it. What goes wrong is logged only."""
        error = self._errors[0].message if self._errors else ""
        content = left_manifest(self._plan, record, error=error).encode()
        for name, storage in manifest_places(self._plan, record):
            path = self._delivery.place(name, storage)
            try:
                await asyncio.to_thread(_written, path, content)
                await self._delivery.deliver(path, ObjectKind.MANIFEST)
            except (EgressError, OSError) as failure:
                logger.warning("the manifest %s was not written: %s", name, failure)

    # -- what is told -----------------------------------------------------------------------------------------------

    def _outcome(self, record: Record) -> Outcome:
        items = [item for item in record.objects.values() if item.finished]
        zero = record.zero or record.entered.get(SpoolState.RECORDING) or wall()
        error = self._errors[0] if self._errors else None
        return Outcome(
            reason=end_reason(record.end_reason),
            files=tuple(self._file(item, zero) for item in items if item.kind is ObjectKind.FILE),
            error=Failure.of(error) if error is not None else None,
            note="; ".join(self._warnings),
            backup_used=any(item.backup for item in items),
            manifest_location=next((item.location for item in items if item.kind is ObjectKind.MANIFEST), ""),
            segments=tuple(self._all_segments(items, zero)),
            images=tuple(self._all_images(items, zero)),
        )

    def _all_segments(self, items: list[SpooledObject], zero: Wall) -> Iterator[SegmentsOutcome]:
        for output in self._plan.outputs:
            if isinstance(output, SegmentOutput) and (made := self._segments(output, items, zero)) is not None:
                yield made

    def _all_images(self, items: list[SpooledObject], zero: Wall) -> Iterator[ImagesOutcome]:
        for output in self._plan.outputs:
            if isinstance(output, ImageOutput) and (made := self._images(output, items, zero)) is not None:
                yield made

    def _file(self, item: SpooledObject, zero: Wall) -> FileOutcome:
        location = item.location or str(self._spooled.folder.path_of(item))
        return FileOutcome(item.key.name, location, item.size or 0, zero, item.duration)

    def _segments(self, output: SegmentOutput, items: list[SpooledObject], zero: Wall) -> SegmentsOutcome | None:
        storage = self._storages.index(output.storage)
        mine = [item for item in items if item.key.storage == storage]
        segments = [item for item in mine if item.kind is ObjectKind.SEGMENT and not _is_header(item)]
        lists = {item.key.name: item for item in mine if item.kind is ObjectKind.PLAYLIST}
        if not segments:
            return None
        playlist = next((item for name, item in lists.items() if _same(name, output.names.playlist)), None)
        live = next((item for name, item in lists.items() if _same(name, output.names.live_playlist)), None)
        return SegmentsOutcome(
            playlist_name=playlist.key.name if playlist else output.names.playlist,
            live_playlist_name=live.key.name if live else output.names.live_playlist,
            playlist_location=playlist.location if playlist else "",
            live_playlist_location=live.location if live else "",
            segment_count=len(segments),
            size=sum(item.size or 0 for item in segments),
            started_at=zero,
            duration=playlist.duration if playlist else sum(item.duration for item in segments),
        )

    def _images(self, output: ImageOutput, items: list[SpooledObject], zero: Wall) -> ImagesOutcome | None:
        storage = self._storages.index(output.storage)
        images = [item for item in items if item.key.storage == storage and item.kind is ObjectKind.IMAGE]
        # Tokens of the room are filled in there.
        prefix = ".*".join(map(re.escape, re.split(r"\{\w+\}", output.prefix)))
        name = re.compile(rf"{prefix}(_\d+)?{re.escape(output.format.extension)}")
        mine = [item for item in images if name.fullmatch(item.key.name)]
        return ImagesOutcome(output.prefix, len(mine), zero, wall()) if mine else None


def _is_header(item: SpooledObject) -> bool:
    """Whether an object of HLS is an initialization segment."""
    return item.key.name.endswith(".mp4")


def _same(name: str, planned: str) -> bool:
    """Whether a name is the planned one, whose tokens of the room may not be filled in."""
    return name == planned or ("{" in planned and os.path.splitext(name)[1] == os.path.splitext(planned)[1])


def _written(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = temporary_beside(path)
    beside.write_bytes(content)
    beside.replace(path)


def _moved(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _as_it_is(path: Path) -> LeftFile | None:
    """Written as a whole, or not at all."""
    with suppress(OSError):
        return LeftFile(path, path.stat().st_size, 0.0, checksum_of(path))
    return None


def _whole_image(path: Path) -> LeftFile | None:
    with suppress(OSError):
        format_ = next((format_ for format_ in ImageFormat if format_.extension == path.suffix), ImageFormat.JPEG)
        return _as_it_is(path) if path.read_bytes().endswith(_ENDS[format_]) else None
    return None
