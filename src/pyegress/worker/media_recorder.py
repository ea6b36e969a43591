"""What a session needs of whatever makes files of tracks, copies or a composition; and which tracks can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.errors import Code, InvalidRequest
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.media.steps import Step
from pyegress.room.events import Participant, RoomEvent, TrackPublication
from pyegress.worker.feed import Feed
from pyegress.worker.progress import Recorded


class MediaRecorder(Protocol):
    """Called on the event loop; nothing but `finish` takes time."""

    warnings: list[str]

    @property
    def started(self) -> bool:
        """Whether the first media has arrived."""

    @property
    def started_at(self) -> Wall | None:
        """Second 0 of the recording in UTC; None before the first media."""

    @property
    def bytes_written(self) -> int: ...

    @property
    def paths(self) -> list[Path]:
        """The files that have been begun."""

    def steps(self) -> list[Step]:
        """What it is made of behind its sources."""

    def elapsed(self, now: Monotonic) -> float:
        """Seconds since the first media, 0 before."""

    def warn(self, text: str) -> None:
        """Something that the user should know, once."""

    def check_output(self) -> None:
        """Find out before joining what would fail later: no folder, no permission, a name that is taken."""

    def joined(self, room_name: str, room_sid: str) -> None:
        """Room tokens are known."""

    def feed(self, participant: Participant, track: TrackPublication) -> Feed:
        """The feed of a track that the plan wants. Raises EgressError when it cannot be recorded."""

    def track_over(self, feed: Feed) -> None:
        """A track is over for good."""

    def on_event(self, event: RoomEvent) -> None:
        """Anything that happens in the room; also once for everybody who is there when it is joined."""

    def room_empty(self, at: Monotonic | None) -> None:
        """Nobody who counts is in the room since `at`; None: somebody is back."""

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Add and remove destinations of a stream. Raises EgressError, also for parts of what was asked."""

    def tick(self, now: Monotonic) -> None:
        """Time passes."""

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        """Every destination of a stream that there was, as it is now."""

    def track_spans(self) -> tuple[TrackSpan, ...]:
        """Every publication that was recorded, in the order in which they came."""

    async def finish(self, end: Monotonic | None) -> Recorded:
        """Finish every output at `end`; None: where the media ended."""


def recordable(participant: Participant, track: TrackPublication) -> Codec:
    """The codec of a track that can be recorded; raises InvalidRequest for others."""
    if track.codec is None:
        raise InvalidRequest(
            f"Track {track.sid} ({track.source.value} of {participant.identity!r}) has the codec "
            f"{track.mime or 'unknown'}, which cannot be recorded",
            field="track_id",
            code=Code.UNIMPLEMENTED,
            remedy=f"Publish it as one of {', '.join(codec.label for codec in Codec if codec.published)}",
        )
    if track.encrypted:
        raise InvalidRequest(
            f"Track {track.sid} ({track.source.value} of {participant.identity!r}) is end-to-end encrypted",
            field="track_id",
            remedy="Record where the key is, or publish without encryption",
        )
    return track.codec
