"""All files of one copy recording: who gets which file, and the one clock that they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, Wall, monotonic, wall
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.media.steps import Stage, Step
from pyegress.media.timeline import PLAUSIBLE
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import FileOutput
from pyegress.plan.stream_updates import no_streams
from pyegress.room.events import Participant, RoomEvent, TrackPublication
from pyegress.worker.copy_file import CopyFile
from pyegress.worker.delivery import Delivery, InPlace, ObjectKind
from pyegress.worker.feed import Feed
from pyegress.worker.media_recorder import recordable
from pyegress.worker.output_paths import OutputPaths, PathFor
from pyegress.worker.parts import Parts
from pyegress.worker.planned_paths import PlannedPaths
from pyegress.worker.progress import Recorded, RecordedFile


class Recorder:
    """A `MediaRecorder` of copies: makes a `Feed` for each track that is recorded and finishes all files in the end."""

    def __init__(
        self,
        plan: CopyPlan,
        *,
        on_error: Callable[[EgressError], None],
        named: FileOutput | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        """`named` is the output of a request, whose extension follows the codec. Without `delivery` files stay where
        they are written."""
        self._plan = plan
        self._delivery = delivery or InPlace()
        self._on_error = on_error
        self._paths = (
            OutputPaths(plan, wall(), is_ours=self._is_ours)
            if named is None
            else PlannedPaths(plan, named, self._delivery, wall(), is_ours=self._is_ours)
        )
        self._room_name = plan.connection.room
        #: One for the whole recording, or one for each track.
        self._parts: dict[str, Parts] = {}
        #: Where each track goes, in the order in which they came.
        self._feeds: dict[Feed, Parts] = {}
        #: UTC minus the monotonic clock; read once, so that a clock which is set meanwhile moves nothing.
        self._utc_offset = wall() - monotonic()
        self._begun: Monotonic | None = None
        self.warnings: list[str] = []

    @property
    def started(self) -> bool:
        """Whether the first media has arrived."""
        if self._begun is None:
            self._begun = min((parts.begun for parts in self._parts.values() if parts.begun is not None), default=None)
        return self._begun is not None

    @property
    def started_at(self) -> Wall | None:
        """Second 0 of the recording's clock in UTC; None before the first media."""
        return self._utc(self._zero(self._starts())) if self.started else None

    @property
    def bytes_written(self) -> int:
        return sum(parts.bytes_written for parts in self._parts.values())

    @property
    def paths(self) -> list[Path]:
        return [path for parts in self._parts.values() for path in parts.paths]

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return ()

    @property
    def directory(self) -> Path:
        """Where a recording of every track puts its files."""
        return self._paths.directory

    def steps(self) -> list[Step]:
        """The files that tracks are copied into."""
        named = [(", ".join(map(str, parts.paths)), parts) for parts in self._parts.values()]
        return [Step(Stage.OUTPUT, name or "no file yet", {"bytes": parts.bytes_written}) for name, parts in named]

    def elapsed(self, now: Monotonic) -> float:
        """Seconds since the first media."""
        return max(0.0, now - self._begun) if self.started and self._begun is not None else 0.0

    def warn(self, text: str) -> None:
        """Something that the user should know, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def check_output(self) -> None:
        """Find out before joining what would fail later: no folder, no permission, a name that is taken."""
        self._paths.check()

    def joined(self, room_name: str, room_sid: str) -> None:
        """Room tokens are known."""
        self._room_name = room_name
        self._paths.joined(room_name, room_sid)

    def feed(self, participant: Participant, track: TrackPublication) -> Feed:
        """The feed of a track that the plan wants. Raises EgressError when it cannot be recorded."""
        codec = recordable(participant, track)
        if self._plan.many_files:
            take = 1 + sum(feed.track_id == track.sid for feed in self._feeds)
            parts = self._new_parts(self._paths.of_track(participant, track, take))
            self._parts[f"{track.sid} {take}"] = parts
        else:
            path_for = self._paths.of_participant(participant, track)
            if not self.started:
                path_for(frozenset({codec}), 1)  # a container that cannot hold the codec is refused before any media
            if not self._parts:
                self._parts[""] = self._new_parts(path_for)
            parts = self._parts[""]
        feed = Feed(participant, track, parts, rank=len(self._feeds), now=monotonic())
        self._feeds[feed] = parts
        return feed

    def update_streams(self, request: pb.UpdateStreamRequest) -> None:
        """Copies go to files."""
        raise no_streams()

    def tick(self, now: Monotonic) -> None:
        """Let silence grow."""
        for parts in self._parts.values():
            parts.tick(now)

    def track_over(self, feed: Feed) -> None:
        """A track is over for good: a file of its own need not stay open until the recording ends."""
        if self._plan.many_files:
            self._feeds[feed].close()

    def on_event(self, event: RoomEvent) -> None:
        """Copies care for their packets only."""

    def room_empty(self, at: Monotonic | None) -> None:
        """Copies of nothing need no end."""

    def track_spans(self) -> tuple[TrackSpan, ...]:
        """Every publication that was recorded, in the order in which they came."""
        return tuple(filter(None, (feed.track_span(self._utc_offset) for feed in self._feeds)))

    async def finish(self, end: Monotonic | None) -> Recorded:
        """Finish every file. `end`: until when sound is filled with silence; None for where the media ended."""
        for parts in self._parts.values():
            parts.close(end)
        for parts in self._parts.values():
            await parts.finish(end)
        starts = self._starts()
        zero = self._zero(starts)
        described = [
            file.describe(start - zero, self._utc(start)) for file, start in starts.items() if file.result is not None
        ]
        recorded = Recorded()
        for file in sorted(described, key=lambda file: (file.start, str(file.path))):
            recorded += await self._deliver(file)
        await self._delivery.aclose()
        return recorded

    async def _deliver(self, file: RecordedFile) -> Recorded:
        try:
            delivered = await self._delivery.deliver(file.path, ObjectKind.FILE)
        except EgressError as error:
            return Recorded((file,), errors=(error,))
        return Recorded((file.brought(delivered),))

    def index(self) -> tuple[Wall | None, list[dict[str, Any]]]:
        """What `index.json` says: second 0 in UTC, and each track on the clock that begins there."""
        starts = self._starts()
        zero = self._zero(starts)
        entries = [self._entry(feed, starts, zero) for feed in self._feeds]
        return (self._utc(zero) if starts else None), entries

    def _entry(self, feed: Feed, starts: Mapping[CopyFile, Monotonic], zero: Monotonic) -> dict[str, Any]:
        files = [file for file in self._feeds[feed].files if file in starts]
        spans = [(starts[file] - zero, file) for file in files]
        over = feed.ended or all(file.result is not None for file in files)
        return {
            "track_id": feed.track_id,
            "identity": feed.identity,
            "name": feed.name,
            "kind": feed.kind.value,
            "source": feed.source,
            "codec": feed.codec.label if feed.codec else None,
            "start": round(spans[0][0], 6) if spans else None,
            "end": round(spans[-1][0] + _length(spans[-1][1]), 6) if spans and over else None,
            "muted": [
                [round(max(0.0, begin - zero), 3), round(end - zero, 3) if end is not None else None]
                for begin, end in feed.mutes
                if spans and (end is None or end > zero)
            ],
            "files": [
                {
                    "path": os.path.relpath(file.result.path if file.result else file.path or "", self.directory),
                    "start": round(start, 6),
                    "end": round(start + _length(file), 6) if file.result is not None else None,
                }
                for start, file in spans
            ],
        }

    def _starts(self) -> dict[CopyFile, Monotonic]:
        """When each file begins, on our monotonic clock.

        By arrival; in a recording of every track, once sender reports are there, by capture time: tracks of one
        participant then lie exactly as they were captured, and participants by their least delayed packets. Reports
        that arrival contradicts are not believed.
        """
        files = [file for parts in self._parts.values() for file in parts.files]
        starts = {file: file.begun for file in files if file.begun is not None}
        origins = {file: file.origin for file in starts if file.origin is not None} if self._plan.many_files else {}
        offsets: dict[str, list[float]] = {}
        for file, origin in origins.items():
            offsets.setdefault(file.identity, []).append(origin.offset)
        for file, origin in origins.items():
            least, most = min(offsets[file.identity]), max(offsets[file.identity])
            starts[file] = Monotonic(origin.capture + least) if most - least <= PLAUSIBLE else origin.arrival
        return starts

    def _zero(self, starts: Mapping[CopyFile, Monotonic]) -> Monotonic:
        return min(starts.values(), default=monotonic())

    def _new_parts(self, path_for: PathFor) -> Parts:
        return Parts(
            path_for=path_for,
            metadata={"title": self._room_name, "encoder": "pyegress"},
            clip=self._plan.duration,
            on_failed=self._on_error,
            on_warning=self.warn,
            on_grown=self._delivery.grown,
        )

    def _utc(self, at: Monotonic) -> Wall:
        return Wall(round(at + self._utc_offset, 6))

    def _is_ours(self, path: Path) -> bool:
        return any(path.absolute() in parts.paths for parts in self._parts.values())


def _length(file: CopyFile) -> float:
    return file.result.duration if file.result is not None else file.last
