"""A session whose objects are uploaded: shows how far they are, and leaves a manifest beside them."""

from __future__ import annotations

import asyncio
import logging
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, monotonic, wall
from pyegress.errors import EgressError
from pyegress.lifecycle.recording import EndReason, Lifecycle, RecordingState
from pyegress.media.steps import Step
from pyegress.outputs.disk import replacing
from pyegress.outputs.manifest import (
    Manifest,
    ManifestFile,
    ManifestImage,
    ManifestPlaylist,
    ManifestSegment,
    first_of_each,
)
from pyegress.plan.containers import MANIFEST
from pyegress.plan.recording_plan import FileOutput, ImageOutput, RecordingPlan, SegmentOutput
from pyegress.plan.storage import Storage
from pyegress.worker.catalogue import Catalogue
from pyegress.worker.delivery import Delivery, ObjectKind
from pyegress.worker.egress_session import EgressSession
from pyegress.worker.manifest_source import of_source
from pyegress.worker.progress import Progress, RecordedFile, RecordingResult
from pyegress.worker.uploads import Uploads

logger = logging.getLogger(__name__)

#: Seconds between words about uploads at the end.
BEAT = 0.5
#: Who is in a hurry does not wait longer than so many seconds for a storage that fails.
HURRIED_PATIENCE = 5.0
_NEVER = Monotonic(float("inf"))

#: Makes a session with a delivery and a listener.
MakeSession = Callable[[Delivery, Callable[[Progress], None]], EgressSession]
_KINDS = {FileOutput: ObjectKind.FILE, SegmentOutput: ObjectKind.PLAYLIST, ImageOutput: ObjectKind.IMAGE}


class DeliveredSession:
    """An `EgressSession` around another one."""

    def __init__(
        self,
        plan: RecordingPlan | None,
        uploads: Uploads,
        make: MakeSession,
        *,
        delivery: Delivery | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """`delivery` is `uploads`, or what wraps it. Without a plan there is no manifest."""
        self._plan = plan
        self._uploads = uploads
        self._on_progress = on_progress
        self._catalogue = Catalogue(delivery or uploads, remember=plan is not None and plan.manifest)
        self.inner = make(self._catalogue, self._report)
        #: When it is over with uploads, and with uploads to a storage that fails.
        self._until = self._failing_until = _NEVER

    @property
    def lifecycle(self) -> Lifecycle:
        return self.inner.lifecycle

    def stop(self, reason: EndReason = EndReason.STOPPED, details: str = "") -> None:
        self.inner.stop(reason, details)

    def give_up(self) -> None:
        """Wait for no upload any more: what is not there is kept on this machine, and told as an error."""
        self._uploads.give_up()

    def hurry(self, seconds: float) -> None:
        """Wait for uploads for so many seconds at most, and not for a storage that fails: `give_up` then."""
        now = monotonic()
        self._until = min(self._until, Monotonic(now + seconds))
        self._failing_until = min(self._failing_until, self._until, Monotonic(now + HURRIED_PATIENCE))

    def progress(self) -> Progress:
        return self._with_uploads(self.inner.progress())

    def steps(self) -> list[Step]:
        return self.inner.steps()

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        self.inner.update_streams(request)

    async def run(self) -> RecordingResult:
        beating = asyncio.create_task(self._beat(), name="progress of uploads")
        try:
            result = await self.inner.run()
            self._uploads.finishing()
            location = ""
            if result.state is not RecordingState.ABORTED and self._plan is not None:
                location = await self._write_manifests(self._plan, result)
            return replace(result, manifest_location=location, backup_used=self._catalogue.backup_used)
        finally:
            beating.cancel()
            await self._catalogue.aclose()

    async def _beat(self) -> None:
        """Sessions say nothing while they finish, and know nothing of hurry."""
        while True:
            await asyncio.sleep(BEAT)
            if monotonic() > (self._failing_until if self._uploads.progress.failing else self._until):
                self.give_up()
            if self._uploads.progress.waiting and self.lifecycle.state is RecordingState.ENDING:
                self._report(self.inner.progress())

    def _report(self, progress: Progress) -> None:
        if progress.state is RecordingState.ENDING:
            self._uploads.finishing()
        if self._on_progress is not None:
            self._on_progress(self._with_uploads(progress))

    def _with_uploads(self, progress: Progress) -> Progress:
        uploads = self._uploads.progress
        return replace(progress, uploads=uploads) if uploads.any else progress

    # -- the manifest -----------------------------------------------------------------------------------------------

    async def _write_manifests(self, plan: RecordingPlan, result: RecordingResult) -> str:
        """One beside each output that wants it; the location of the first. What goes wrong is logged only."""
        content = self._manifest(plan, result).encode()
        places = dict.fromkeys(self._places(plan))
        location = ""
        for name, storage in places:
            path = self._catalogue.place(name, storage)
            try:
                await asyncio.to_thread(_write, path, content)
                delivered = await self._catalogue.deliver(path, ObjectKind.MANIFEST)
            except (EgressError, OSError) as error:
                logger.warning("the manifest %s was not written: %s", name, error)
            else:
                location = location or delivered.location
        return location

    def _places(self, plan: RecordingPlan) -> Iterator[tuple[str, Storage]]:
        used = self._catalogue.backup_used
        for output in plan.outputs:
            if not isinstance(output, FileOutput | SegmentOutput | ImageOutput):
                continue
            # A backup that was used must be found, whoever wants a manifest or not.
            if output.manifest or (plan.backup is not None and used):
                folder = posixpath.dirname(self._name_of(output))
                yield posixpath.join(folder, plan.egress_id + MANIFEST[0]), output.storage

    def _name_of(self, output: FileOutput | SegmentOutput | ImageOutput) -> str:
        """What it is called in the storage: as it was delivered, since names have tokens that only the room knows."""
        for entry in self._catalogue.entries:
            if entry.kind is _KINDS[type(output)] and entry.storage in (output.storage, None):
                return entry.delivered.name
        match output:
            case FileOutput(path=path):
                planned = path
            case SegmentOutput(names=names):
                planned = names.playlist
            case ImageOutput(prefix=prefix):
                planned = prefix
        folder = posixpath.dirname(planned)
        return "" if "{" in folder else planned

    def _manifest(self, plan: RecordingPlan, result: RecordingResult) -> Manifest:
        entries = self._catalogue.entries
        manifest = Manifest(
            egress_id=plan.egress_id,
            room_id=result.room_sid or plan.room_id,
            room_name=result.room_name or plan.room_name,
            status="EGRESS_FAILED" if result.state is RecordingState.FAILED else "EGRESS_COMPLETE",
            error=result.error.message if result.error is not None else "",
            started_at=plan.started_at,
            ended_at=wall(),
            zero=result.started_at,
            backup_used=self._catalogue.backup_used,
            files=tuple(self._files(result)),
            playlists=tuple(self._playlists(plan)),
            images=tuple(
                ManifestImage(entry.delivered.name, entry.delivered.location, entry.made)
                for entry in entries
                if entry.kind is ObjectKind.IMAGE
            ),
            tracks=result.tracks,
        )
        if result.reason is EndReason.LIMIT_REACHED and result.error is None:
            manifest = replace(manifest, status="EGRESS_LIMIT_REACHED")
        return of_source(manifest, plan)

    def _files(self, result: RecordingResult) -> Iterator[ManifestFile]:
        backups = {
            entry.delivered.location
            for entry in self._catalogue.entries
            if entry.kind is ObjectKind.FILE and entry.delivered.backup
        }
        for file in result.files:
            yield _described(file, backup=file.location in backups)

    def _playlists(self, plan: RecordingPlan) -> Iterator[ManifestPlaylist]:
        segments = tuple(
            ManifestSegment(entry.delivered.name, entry.delivered.location)
            for entry in self._catalogue.entries
            if entry.kind is ObjectKind.SEGMENT
        )
        for output in plan.outputs:
            if isinstance(output, SegmentOutput) and segments:
                found = (entry for entry in self._catalogue.entries if entry.kind is ObjectKind.PLAYLIST)
                yield ManifestPlaylist(next((entry.delivered.location for entry in found), ""), segments)


def _described(file: RecordedFile, *, backup: bool) -> ManifestFile:
    return ManifestFile(
        filename=file.filename or str(file.path),
        # What is not delivered is where it was written.
        location=file.location or str(file.path),
        start=file.start,
        duration=file.duration,
        identity=file.identity,
        track_ids=first_of_each(sid for stream in file.streams for sid in stream.track_ids),
        sources=first_of_each(source for stream in file.streams for source in stream.source.split(", ")),
        backup=backup,
    )


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)
