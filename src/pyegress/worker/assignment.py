"""From a launch to a session that can run: copies to a file alone to a `Recorder`, all else to a `Composition`."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import Failure, FileOutcome, Outcome
from pyegress.lifecycle.uploading import UploadTried
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.build import plan_recording
from pyegress.plan.containers import content_type
from pyegress.plan.recording_plan import FileOutput, RecordingPlan
from pyegress.storage.destination import open_destination
from pyegress.storage.journal_entries import Record
from pyegress.storage.spool import MEDIA
from pyegress.worker.copied_file import copy_plan, selection_of
from pyegress.worker.delivered_session import DeliveredSession
from pyegress.worker.delivery import Delivery
from pyegress.worker.egress_session import EgressSession
from pyegress.worker.left_egress import LeftEgress
from pyegress.worker.media_recorder import MediaRecorder
from pyegress.worker.progress import Progress, RecordedFile, RecordingResult
from pyegress.worker.recorder import Recorder
from pyegress.worker.session import RecordingSession
from pyegress.worker.spooled import Spooled, left_upload, storages_of
from pyegress.worker.uploads import Uploads

#: Below the folder of local files: what is on its way to a storage, of an egress without a folder in the spool.
SCRATCH = ".pyegress-uploads"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A session, and how its result is told."""

    session: DeliveredSession

    def outcome(self, result: RecordingResult) -> Outcome:
        """What becomes of the egress."""
        spoiled = tuple(warning for file in result.files for warning in file.warnings)
        return Outcome(
            reason=result.reason,
            files=tuple(map(_file, result.files)),
            error=Failure.of(result.error) if result.error is not None else None,
            warnings=(*spoiled, *result.warnings),
            segments=result.segments,
            images=result.images,
            streams=result.streams,
            note="; ".join(dict.fromkeys(spoiled)),
            manifest_location=result.manifest_location,
            backup_used=result.backup_used,
        )


def _file(file: RecordedFile) -> FileOutcome:
    path = os.path.abspath(file.path)
    return FileOutcome(
        filename=file.filename or path,
        location=file.location or path,
        size=file.size,
        started_at=file.started_at,
        duration=file.duration,
    )


def assign(
    launch: Launch,
    *,
    on_progress: Callable[[Progress], None],
    on_tried: Callable[[UploadTried], None] = lambda tried: None,
    spooled: Spooled | None = None,
) -> Assignment:
    """The session of a launch; `on_tried` is told of every upload, `spooled` of every step. Raises EgressError."""
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    uploads = _uploads(plan, launch, on_tried)
    delivery = spooled.journalled(uploads, plan, keep=launch.keep_copies) if spooled is not None else None

    def make(delivery: Delivery, listener: Callable[[Progress], None]) -> EgressSession:
        return _session(plan, delivery, listener, spooled.folder.received if spooled is not None else None)

    return Assignment(DeliveredSession(plan, uploads, make, delivery=delivery, on_progress=on_progress))


def _session(
    plan: RecordingPlan, delivery: Delivery, on_progress: Callable[[Progress], None], received: Path | None
) -> EgressSession:
    if plan.passthrough:
        plan = replace(plan, source=selection_of(plan))
    if not plan.passthrough or plan.copies_live:
        # What encodes is large, and takes a tenth of a second to load: copies need not wait for it.
        from pyegress.worker.encoding_session import encoding_session

        return encoding_session(plan, delivery=delivery, on_progress=on_progress, received=received)
    (output,) = plan.outputs
    assert isinstance(output, FileOutput)
    copies = copy_plan(plan, output, delivery)

    def recorder(on_error: Callable[[EgressError], None]) -> MediaRecorder:
        return Recorder(copies, on_error=on_error, named=output, delivery=delivery)

    return RecordingSession(copies, make_recorder=recorder, on_progress=on_progress)


def _uploads(plan: RecordingPlan, launch: Launch, on_tried: Callable[[UploadTried], None]) -> Uploads:
    folder = Path(launch.spool, MEDIA) if launch.spool else Path(launch.directory, SCRATCH, launch.egress_id)
    # What is in the spool is removed when the journal knows that it is delivered.
    return Uploads(folder, directory=launch.directory, backup=plan.backup, keep=bool(launch.spool), on_tried=on_tried)


async def finish_launch(
    launch: Launch, spooled: Spooled, *, on_tried: Callable[[UploadTried], None] = lambda tried: None
) -> Outcome:
    """Bring to its end what another process left of a launch. Raises EgressError."""
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    uploads = _uploads(plan, launch, on_tried)
    uploads.finishing()
    delivery = spooled.journalled(uploads, plan, await spooled.record(), keep=launch.keep_copies)
    if spooled.folder.received.exists():
        # It encodes, which is much to load.
        from pyegress.worker.rendered_again import render_again

        await render_again(spooled, plan, delivery)
    return await LeftEgress(spooled, plan, delivery).finish()


async def abandon(launch: Launch, record: Record) -> None:
    """Remove at the storages what was uploaded of objects that nobody will finish. What goes wrong is logged.

    Raises EgressError when the launch cannot be planned.
    """
    storages = storages_of(plan_recording(launch.read_request(), launch.start, launch.service))
    for item in record.waiting:
        if item.parted is not None and item.key.storage < len(storages):
            destination = open_destination(storages[item.key.storage])
            parted = destination.parted(item.key.name, content_type(item.key.name), left_upload(item))
            if parted is not None:
                await parted.abort()
