"""What became of a recording and of each of its outputs, on its way between processes and into EgressInfo. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pyegress.clock import Wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.recording import EndReason


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way between processes: what `EgressError` says of itself."""

    code: Code
    message: str
    remedy: str = ""
    field: str = ""

    @classmethod
    def of(cls, error: EgressError) -> Failure:
        return cls(error.code, error.message, error.remedy, error.field)

    def as_error(self) -> EgressError:
        return EgressError(self.message, remedy=self.remedy, field=self.field, code=self.code)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One finished file: its name as the request means it, where it lies, bytes, UTC seconds, seconds of media."""

    filename: str
    location: str
    size: int
    started_at: Wall
    duration: float


@dataclass(frozen=True, slots=True)
class SegmentsOutcome:
    """One HLS output: names as the request means them, where the playlists lie, bytes of all segments, UTC, seconds."""

    playlist_name: str
    live_playlist_name: str
    playlist_location: str
    live_playlist_location: str
    segment_count: int
    size: int
    started_at: Wall
    duration: float


@dataclass(frozen=True, slots=True)
class ImagesOutcome:
    """One output of images; times are UTC seconds."""

    filename_prefix: str
    image_count: int
    started_at: Wall
    ended_at: Wall


class StreamStatus(Enum):
    """`livekit.StreamInfo.Status`, by number."""

    ACTIVE = 0
    FINISHED = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """One destination of a stream, now or in the end. `url` is redacted; times are UTC seconds, None before them."""

    url: str
    status: StreamStatus
    id: str = ""
    error: str = ""
    started_at: Wall | None = None
    ended_at: Wall | None = None
    retries: int = 0
    last_retry_at: Wall | None = None


def anything_made(kept: Sequence[object], streams: Sequence[StreamOutcome]) -> bool:
    """Whether anything was kept, or sent: a destination that never began got nothing."""
    return bool(kept) or any(stream.started_at is not None for stream in streams)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a recording ended: why, what went wrong, what was made nevertheless. Outputs in the order of the plan."""

    reason: EndReason
    files: tuple[FileOutcome, ...] = ()
    error: Failure | None = None
    warnings: tuple[str, ...] = ()
    segments: tuple[SegmentsOutcome, ...] = ()
    images: tuple[ImagesOutcome, ...] = ()
    #: Every destination that there was, also those that were added meanwhile.
    streams: tuple[StreamOutcome, ...] = ()
    #: What goes into `details` behind the reason.
    note: str = ""
    #: Why something is not where it belongs yet, although it may get there: it is in the spool.
    pending: str = ""
    #: The first manifest; "" without one.
    manifest_location: str = ""
    #: Something is on the backup storage.
    backup_used: bool = False

    @property
    def made(self) -> bool:
        """Whether anything was recorded or sent."""
        return anything_made((*self.files, *self.segments, *self.images), self.streams)
