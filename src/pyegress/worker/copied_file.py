"""The file of a plan that copies, beside segments and streams: packets as they were published, on their own clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.clock import Monotonic
from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import FileOutput, RecordingPlan
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import MediaSource
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivery
from pyegress.worker.progress import Recorded
from pyegress.worker.recorder import Recorder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture


class CopiedFile:
    """An `OutputSink` that gets frames from the tracks themselves: `recorder` makes their feeds."""

    def __init__(
        self, plan: RecordingPlan, output: FileOutput, delivery: Delivery, *, on_warning: Callable[[str], None]
    ) -> None:
        """`on_failed` is to be set before anything is recorded."""
        self.on_failed: Callable[[EgressError], None] = lambda error: None
        #: Where the file ends; None with its last frame.
        self.end: Monotonic | None = None
        self._on_warning = on_warning
        self._errors: list[EgressError] = []
        copies = copy_plan(plan, output, delivery)
        self.recorder = Recorder(copies, on_error=self._fail, named=output, delivery=delivery)

    @property
    def bytes_written(self) -> int:
        return self.recorder.bytes_written

    @property
    def paths(self) -> list[Path]:
        return self.recorder.paths

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return ()

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """The file has the packets already."""

    def picture(self, picture: Picture, at: float) -> None:
        """Copies take packets."""

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """Copies take packets."""

    async def finish(self) -> Recorded:
        """Finish and deliver the file, or the files."""
        recorded = await self.recorder.finish(self.end)
        for warning in self.recorder.warnings:
            self._on_warning(warning)
        return recorded + Recorded(errors=tuple(self._errors))

    def _fail(self, error: EgressError) -> None:
        self._errors.append(error)
        self.on_failed(error)


def copy_plan(plan: RecordingPlan, output: FileOutput, delivery: Delivery) -> CopyPlan:
    """What a plan that copies means for its file."""
    if plan.connection is None:
        raise ValueError("copies are of a room")
    selection = selection_of(plan)
    # Who is named may come whenever they like; a track that is named by its id is there.
    wait = plan.waits.participant if isinstance(selection, ParticipantTracks) else plan.waits.tracks
    return CopyPlan(
        connection=plan.connection,
        selection=selection,
        output=str(delivery.place(output.path, output.storage)),
        duration=plan.max_duration,
        wait=wait,
        grace=plan.waits.grace,
        reconnect_window=plan.waits.reconnect,
        overwrite=plan.overwrite,
        egress_id=plan.egress_id,
        max_file_size=plan.max_file_size,
    )


def selection_of(plan: RecordingPlan) -> OneTrack | ParticipantTracks | TrackPair:
    """The tracks of a plan that copies."""
    match plan.source:
        case OneTrack() | ParticipantTracks() | TrackPair() as tracks:
            return tracks
        case MediaSource(video=video, audio=audio):
            if video is not None:
                return OneTrack(track_id=video.track_id)
            if audio is not None:
                return OneTrack(track_id=audio.routes[0].value)
    raise ValueError("copies are of tracks")
