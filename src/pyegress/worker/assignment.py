"""From a launch to a session that can run: copies to a `Recorder`, everything else to a `Composition`."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import Failure, FileOutcome, Outcome
from pyegress.lifecycle.uploading import UploadTried
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.build import plan_recording
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import FileOutput, RecordingPlan
from pyegress.plan.selection import OneTrack
from pyegress.plan.sources import MediaSource
from pyegress.worker.delivered_session import DeliveredSession
from pyegress.worker.delivery import Delivery
from pyegress.worker.egress_session import EgressSession
from pyegress.worker.media_recorder import MediaRecorder
from pyegress.worker.progress import Progress, RecordedFile, RecordingResult
from pyegress.worker.recorder import Recorder
from pyegress.worker.session import RecordingSession
from pyegress.worker.uploads import Uploads

#: Below the folder of local files: what is on its way to a storage.
SCRATCH = ".pyegress-uploads"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A session, and how its result is told."""

    session: EgressSession

    def outcome(self, result: RecordingResult) -> Outcome:
        """What becomes of the egress."""
        return Outcome(
            reason=result.reason,
            files=tuple(map(_file, result.files)),
            error=Failure.of(result.error) if result.error is not None else None,
            warnings=(*(warning for file in result.files for warning in file.warnings), *result.warnings),
            segments=result.segments,
            images=result.images,
            streams=result.streams,
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
) -> Assignment:
    """The session of a launch; `on_tried` is told of every upload. Raises EgressError."""
    plan = plan_recording(launch.read_request(), launch.start, launch.service)
    uploads = Uploads(
        Path(launch.directory, SCRATCH, launch.egress_id),
        directory=launch.directory,
        backup=plan.backup,
        on_tried=on_tried,
    )

    def make(delivery: Delivery, listener: Callable[[Progress], None]) -> EgressSession:
        return _session(plan, delivery, listener)

    return Assignment(DeliveredSession(plan, uploads, make, on_progress=on_progress))


def _session(plan: RecordingPlan, delivery: Delivery, on_progress: Callable[[Progress], None]) -> EgressSession:
    if not plan.passthrough:
        # What encodes is large, and takes a tenth of a second to load: copies need not wait for it.
        from pyegress.worker.encoding_session import encoding_session

        return encoding_session(plan, delivery=delivery, on_progress=on_progress)
    copies, output = _copies(plan, delivery)

    def recorder(on_error: Callable[[EgressError], None]) -> MediaRecorder:
        return Recorder(copies, on_error=on_error, named=output, delivery=delivery)

    return RecordingSession(copies, make_recorder=recorder, on_progress=on_progress)


def _copies(plan: RecordingPlan, delivery: Delivery) -> tuple[CopyPlan, FileOutput]:
    """A plan that copies one track, and its file."""
    (output,) = plan.outputs
    if plan.connection is None or not isinstance(output, FileOutput):
        raise ValueError("copies are of a room, and go to a file")
    return (
        CopyPlan(
            connection=plan.connection,
            selection=_track(plan),
            output=str(delivery.place(output.path, output.storage)),
            duration=plan.max_duration,
            wait=plan.waits.tracks,
            grace=plan.waits.grace,
            reconnect_window=plan.waits.reconnect,
            overwrite=plan.overwrite,
            egress_id=plan.egress_id,
            max_file_size=plan.max_file_size,
        ),
        output,
    )


def _track(plan: RecordingPlan) -> OneTrack:
    match plan.source:
        case OneTrack() as track:
            return track
        case MediaSource(video=video, audio=audio):
            if video is not None:
                return OneTrack(track_id=video.track_id)
            if audio is not None:
                return OneTrack(track_id=audio.routes[0].value)
    raise ValueError("copies are of one track")
