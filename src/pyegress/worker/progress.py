"""What a running recording shows and what a finished one returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyegress.clock import Wall
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import ImagesOutcome, SegmentsOutcome, StreamOutcome, anything_made
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.lifecycle.uploading import UploadProgress

if TYPE_CHECKING:
    from pyegress.worker.delivery import Delivered


@dataclass(frozen=True, slots=True)
class TrackProgress:
    """One track that is being recorded."""

    track_id: str
    identity: str
    source: str
    codec: str
    muted: bool
    #: Bits per second of media over the last two seconds.
    bitrate: float
    #: Packets lost for good, as a share of all (0..1), since the track began.
    loss: float
    frames: int
    #: Seconds for which nothing came although the track is not muted.
    silent: float = 0.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of a recording."""

    state: RecordingState
    #: Seconds since the first media.
    elapsed: float
    bytes_written: int
    tracks: tuple[TrackProgress, ...] = ()
    #: What the recording waits for, "" when it does not wait.
    waiting_for: str = ""
    #: What is seen meanwhile: in the room, for instance `alice: camera, microphone (muted)`, or on a page's console.
    seen: tuple[str, ...] = ()
    #: A page is recorded, and not a room.
    of_page: bool = False
    #: The connection is being re-established.
    reconnecting: bool = False
    #: Why it ends, once it does.
    end_reason: EndReason | None = None
    #: The files that have been begun.
    paths: tuple[Path, ...] = ()
    #: Every destination of a stream that there was.
    streams: tuple[StreamOutcome, ...] = ()
    #: Of objects that go to a storage; None where everything stays on the local disk.
    uploads: UploadProgress | None = None
    #: Second 0 of the outputs in UTC, once it is known, and every publication so far: what the journal keeps.
    started_at: Wall | None = None
    spans: tuple[TrackSpan, ...] = ()

    @property
    def bitrate(self) -> float:
        """Bits per second over all tracks."""
        return sum(track.bitrate for track in self.tracks)

    @property
    def loss(self) -> float:
        """The worst loss of any track, 0..1."""
        return max((track.loss for track in self.tracks), default=0.0)


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """One track inside a recorded file."""

    kind: str
    codec: str
    frames: int
    #: Pixels of the first picture, None for audio.
    size: tuple[int, int] | None
    track_ids: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """One finished file. Times: `started_at` in UTC seconds, `start`/`end` in seconds of the recording's one clock."""

    path: Path
    #: Bytes.
    size: int
    #: Seconds.
    duration: float
    streams: tuple[RecordedStream, ...]
    identity: str
    name: str
    started_at: Wall
    start: float
    end: float
    #: What is not as it should be, for instance that the disk was too full to finish the file.
    warnings: tuple[str, ...] = ()
    #: Its name below the storage, and where it lies there; "" for a file that is where it was written.
    filename: str = ""
    location: str = ""

    def brought(self, delivered: Delivered) -> RecordedFile:
        """The file, where it lies now."""
        warnings = (*self.warnings, delivered.warning) if delivered.warning else self.warnings
        return replace(self, filename=delivered.name, location=delivered.location, warnings=warnings)

    def as_json(self) -> dict[str, Any]:
        """The file as `--json` and `index.json` write it."""
        return {
            "path": str(self.path),
            "location": self.location or str(self.path),
            "size": self.size,
            "duration": round(self.duration, 6),
            "identity": self.identity,
            "name": self.name,
            "started_at": self.started_at,
            "start": round(self.start, 6),
            "end": round(self.end, 6),
            "streams": [
                {
                    "kind": stream.kind,
                    "codec": stream.codec,
                    "frames": stream.frames,
                    "width": stream.size[0] if stream.size else None,
                    "height": stream.size[1] if stream.size else None,
                    "track_ids": list(stream.track_ids),
                    "source": stream.source,
                }
                for stream in self.streams
            ],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """What outputs made, each kind in the order of the plan; `errors` of those that could not finish it."""

    files: tuple[RecordedFile, ...] = ()
    segments: tuple[SegmentsOutcome, ...] = ()
    images: tuple[ImagesOutcome, ...] = ()
    streams: tuple[StreamOutcome, ...] = ()
    errors: tuple[EgressError, ...] = ()

    def __add__(self, other: Recorded) -> Recorded:
        return Recorded(
            self.files + other.files,
            self.segments + other.segments,
            self.images + other.images,
            self.streams + other.streams,
            self.errors + other.errors,
        )

    @property
    def made(self) -> bool:
        """Whether anything was recorded or sent."""
        return anything_made((*self.files, *self.segments, *self.images), self.streams)

    @property
    def duration(self) -> float:
        """Seconds of media."""
        return max((*(file.end for file in self.files), *(made.duration for made in self.segments)), default=0.0)


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """How a recording ended."""

    state: RecordingState
    reason: EndReason
    files: tuple[RecordedFile, ...]
    #: When the first media arrived, UTC; None when there was none.
    started_at: Wall | None
    #: Seconds of media.
    duration: float
    room_name: str
    room_sid: str
    #: Why it failed or ended early; None after an ordinary end.
    error: EgressError | None = None
    details: str = ""
    warnings: tuple[str, ...] = field(default=())
    segments: tuple[SegmentsOutcome, ...] = ()
    images: tuple[ImagesOutcome, ...] = ()
    streams: tuple[StreamOutcome, ...] = ()
    #: Every publication that was recorded, in the order in which they came.
    tracks: tuple[TrackSpan, ...] = ()
    manifest_location: str = ""
    #: Something is on the backup storage.
    backup_used: bool = False

    def check(self) -> None:
        """Raise the error of a recording that failed; nothing after an ordinary end."""
        if self.error is not None:
            raise self.error

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "status": self.state.value,
            "end_reason": self.reason.value,
            "details": self.details,
            "room_name": self.room_name,
            "room_id": self.room_sid,
            "started_at": self.started_at,
            "duration": round(self.duration, 6),
            "files": [file.as_json() for file in self.files],
            "segments": [asdict(made) for made in self.segments],
            "images": [asdict(made) for made in self.images],
            "streams": [asdict(stream) | {"status": stream.status.name.lower()} for stream in self.streams],
            "error": None
            if self.error is None
            else {
                "code": self.error.code.wire,
                "error_code": self.error.code.http,
                "message": self.error.message,
                "remedy": self.error.remedy,
            },
            "warnings": list(self.warnings),
        }
