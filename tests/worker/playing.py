"""Real encoded frames played into feeds at simulated times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.errors import EgressError
from pyegress.outputs.written import Written
from pyegress.plan.names import numbered, output_path
from pyegress.room.events import Participant, SenderReportSeen, Source, TrackPublication
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.feed import Feed, TrackTarget
from pyegress.worker.parts import Parts
from tests.outputs.media import frames_of

#: The monotonic clock at second 0 of a test, and the publisher's clock at the same moment.
T0, NTP0 = 10_000.0, 1_700_000_000.0


def at(seconds: float) -> Monotonic:
    return Monotonic(T0 + seconds)


def publication(
    sid: str = "TR_V", codec: Codec | None = Codec.VP8, source: Source = Source.CAMERA, *, muted: bool = False
) -> TrackPublication:
    kind = (codec or Codec.VP8).kind
    return TrackPublication(sid, sid, kind, source, codec, codec.mime if codec else "video/flip", muted)


def participant(identity: str = "alice", *tracks: TrackPublication) -> Participant:
    return Participant(f"PA_{identity}", identity, identity.title(), "standard", "", Wall(0.0), {}, _by_sid(tracks))


def _by_sid(tracks: Sequence[TrackPublication]) -> dict[str, TrackPublication]:
    return {track.sid: track for track in tracks}


@dataclass
class Played:
    """One track that plays: what its feed got, and where its RTP time began."""

    feed: Feed
    rtp: int
    transit: float = 0.0
    frames: list[EncodedFrame] = field(default_factory=list)

    @property
    def codec(self) -> Codec:
        assert self.feed.codec is not None
        return self.feed.codec

    def report(self, seconds: float) -> None:
        """A sender report of the capture time `seconds`; exact."""
        timestamp = self.rtp + round(seconds * self.codec.clock_rate)
        self.feed.on_sender_report(SenderReportSeen(Wall(NTP0 + seconds), timestamp, at(seconds + self.transit)))

    def restart(self, codec: Codec, rtp: int) -> None:
        """Another RTP stream begins."""
        self.rtp = rtp
        self.feed.on_stream(codec)


def begin(
    target: TrackTarget,
    sid: str = "TR_V",
    codec: Codec = Codec.VP8,
    source: Source | None = None,
    *,
    rank: int = 0,
    rtp: int = 123_456,
    transit: float = 0.0,
    identity: str = "alice",
) -> Played:
    """A feed whose stream begins."""
    source = source or (Source.CAMERA if codec.kind.value == "video" else Source.MICROPHONE)
    track = publication(sid, codec, source)
    played = Played(Feed(participant(identity, track), track, target, rank=rank, now=at(0)), rtp, transit)
    played.feed.on_stream(codec)
    return played


def play(*parts: tuple[Played, float, float]) -> None:
    """Play (track, from, to) in order of arrival; times are capture times in seconds."""
    events: list[tuple[float, Played, EncodedFrame]] = []
    for played, begin_at, end_at in parts:
        rate = played.codec.clock_rate
        for frame in frames_of(played.codec, end_at - begin_at):
            capture = begin_at + frame.timestamp / rate
            moved = replace(
                frame,
                timestamp=played.rtp + round(begin_at * rate) + frame.timestamp,
                arrival=at(capture + played.transit),
            )
            events.append((capture + played.transit, played, moved))
    for _, played, frame in sorted(events, key=lambda event: event[0]):
        played.frames.append(frame)
        played.feed.on_frame(frame)


@dataclass
class Files:
    """The files of one recording below a folder, with what was said about them."""

    folder: Path
    template: str = "talk"
    clip: float | None = None
    failures: list[EgressError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: What was told to be there and to stay as it is.
    grown: list[tuple[Path, Written]] = field(default_factory=list)

    def parts(self, path_for: Callable[[frozenset[Codec], int], Path] | None = None) -> Parts:
        return Parts(
            path_for=path_for or self.path_for,
            metadata={"title": "standup"},
            clip=self.clip,
            on_failed=self.failures.append,
            on_warning=self.warnings.append,
            on_grown=lambda path, written: self.grown.append((path, written)),
        )

    def path_for(self, codecs: frozenset[Codec], part: int) -> Path:
        template = self.template if part == 1 else Path(self.template).stem
        return self.folder / numbered(output_path(template, {}, automatic="auto", codecs=codecs), part)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())
