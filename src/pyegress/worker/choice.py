"""Which publications of a room a recording takes, one `Choice` for each kind of source, and on which side. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pyegress.codecs import Kind
from pyegress.errors import InvalidRequest
from pyegress.plan.selection import Selection, TrackPair
from pyegress.plan.sources import (
    Channel,
    MediaSource,
    PageSource,
    ParticipantKind,
    RoomSource,
    Source,
    TemplateSource,
    channel_by_mixing,
)
from pyegress.room.events import Participant, TrackPublication

#: Kinds of participants that keep no room open, as the server sees it.
_UNCOUNTED = frozenset({"egress", "recorder", "agent"})
_KINDS = {kind.name.lower(): kind.value for kind in ParticipantKind}


class Choice(Protocol):
    """`str()` says what is waited for."""

    def takes(self, participant: Participant, track: TrackPublication) -> bool:
        """Whether a publication is recorded. Raises InvalidRequest when it is named as what it is not."""


@dataclass(frozen=True, slots=True)
class NamedTracks:
    """Tracks that a request names, by id or by who publishes them; only of the kinds that are recorded."""

    selection: Selection
    kinds: frozenset[Kind] = frozenset(Kind)

    def takes(self, participant: Participant, track: TrackPublication) -> bool:
        if isinstance(self.selection, TrackPair):
            _check_kind(self.selection, track)
        source = track.source.value
        return track.kind in self.kinds and self.selection.takes(
            identity=participant.identity, sid=track.sid, source=source
        )

    def __str__(self) -> str:
        return str(self.selection)


@dataclass(frozen=True, slots=True)
class Everybody:
    """Every track of a room of the kinds that are recorded."""

    kinds: frozenset[Kind]

    def takes(self, participant: Participant, track: TrackPublication) -> bool:
        return track.kind in self.kinds

    def __str__(self) -> str:
        return f"somebody to publish {' or '.join(sorted(kind.value for kind in self.kinds))}"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Chosen pictures and chosen sound. Every track that may be shown is taken, so that the next best is at hand."""

    source: MediaSource

    def takes(self, participant: Participant, track: TrackPublication) -> bool:
        sid, identity = track.sid, participant.identity
        if track.kind is Kind.VIDEO:
            video = self.source.video
            return video is not None and video.rank(sid=sid, identity=identity, source=track.source.value) is not None
        audio = self.source.audio
        kind = _KINDS.get(participant.kind, -1)
        return audio is not None and audio.channel(sid=sid, identity=identity, kind=kind) is not None

    def __str__(self) -> str:
        return "the chosen tracks"


def choice_of(source: Source, kinds: frozenset[Kind]) -> Choice:
    """The choice of a plan that encodes `kinds`."""
    match source:
        case RoomSource():
            return Everybody(kinds)
        case MediaSource():
            return Chosen(source)
        case TemplateSource() | PageSource():
            raise ValueError("a page is captured, its tracks are not taken")
        case _:
            return NamedTracks(source, kinds)


def counts(participant: Participant) -> bool:
    """Whether a room with this participant alone is not empty."""
    return participant.kind not in _UNCOUNTED


def _check_kind(pair: TrackPair, track: TrackPublication) -> None:
    for field, sid, kind in (
        ("audio_track_id", pair.audio_track_id, Kind.AUDIO),
        ("video_track_id", pair.video_track_id, Kind.VIDEO),
    ):
        if sid and sid == track.sid and track.kind is not kind:
            raise InvalidRequest(
                f"Track {sid} was given as {field} and is a {track.kind.value} track",
                field=field,
                remedy=f"Give the id of a track of {kind.value}",
            )


def channel_of(source: Selection | Source, participant: Participant, track: TrackPublication, *, index: int) -> Channel:
    """Left, right or both, for the track of sound that is the `index`th of a recording."""
    if isinstance(source, RoomSource):
        return channel_by_mixing(source.mixing, agent=participant.kind == "agent", index=index)
    if isinstance(source, MediaSource) and source.audio is not None:
        kind = _KINDS.get(participant.kind, -1)
        return source.audio.channel(sid=track.sid, identity=participant.identity, kind=kind) or Channel.BOTH
    return Channel.BOTH
