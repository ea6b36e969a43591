"""What a composition shows, kept up to date from the events of a room: the scene of a layout, or one chosen picture."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol, assert_never

from pyegress.clock import Monotonic
from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout, layout_in_metadata
from pyegress.layouts.scene import Participant as ScenePerson
from pyegress.layouts.scene import Scene, VideoSource, VideoTrack
from pyegress.layouts.scene import Speaker as SceneSpeaker
from pyegress.media.director import CandidateChanged, Director, RoomDirector, SingleDirector
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import MediaSource, PageSource, RoomSource, TemplateSource
from pyegress.room.events import (
    OwnMetadataChanged,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomEvent,
    SpeakersChanged,
    TrackMuted,
    TrackPublished,
    TrackUnmuted,
    TrackUnpublished,
    TrackUpdated,
)
from pyegress.worker.feed import Feed

logger = logging.getLogger(__name__)

#: Is told of what changes, and from when on.
OnChange = Callable[[Monotonic, Scene | Layout | CandidateChanged], None]
_DRAWN = {source.value for source in VideoSource}


class Stage(Protocol):
    """Tells a director what changes. On the event loop."""

    @property
    def director(self) -> Director: ...

    def added(self, feed: Feed, participant: Participant, at: Monotonic) -> None:
        """A video track will be received."""

    def removed(self, feed: Feed, at: Monotonic) -> None:
        """A video track is over."""

    def on_event(self, event: RoomEvent) -> None:
        """Anything that happens in the room."""

    def only(self, feeds: Iterable[Feed]) -> Feed | None:
        """Of feeds of pictures that of the track which is shown alone; None where a layout shows many."""


class RoomStage:
    """A whole room, drawn by a layout."""

    def __init__(
        self, layout: str, size: Size, *, on_warning: Callable[[str], None], on_change: OnChange | None = None
    ) -> None:
        """Raises InvalidRequest for a layout with options that do not exist."""
        self._on_change = on_change
        self._director = RoomDirector(Layout.parse(layout), size)
        self._on_warning = on_warning
        self._people: dict[str, Participant] = {}
        self._received: dict[str, Monotonic] = {}
        self._levels: dict[str, float] = {}

    @property
    def director(self) -> Director:
        return self._director

    def added(self, feed: Feed, participant: Participant, at: Monotonic) -> None:
        self._people.setdefault(participant.identity, participant)
        self._received[feed.track_id] = at
        self._changed(at)

    def removed(self, feed: Feed, at: Monotonic) -> None:
        self._received.pop(feed.track_id, None)
        self._changed(at)

    def on_event(self, event: RoomEvent) -> None:
        match event:
            case (
                ParticipantJoined(participant=participant)
                | ParticipantUpdated(participant=participant)
                | TrackPublished(participant=participant)
                | TrackUnpublished(participant=participant)
                | TrackMuted(participant=participant)
                | TrackUnmuted(participant=participant)
                | TrackUpdated(participant=participant)
            ):
                self._people[participant.identity] = participant
            case ParticipantLeft(participant=participant):
                self._people.pop(participant.identity, None)
                self._levels.pop(participant.identity, None)
            case SpeakersChanged(speakers=speakers):
                for speaker in speakers:
                    if speaker.active:
                        self._levels[speaker.identity] = speaker.level
                    else:
                        self._levels.pop(speaker.identity, None)
            case OwnMetadataChanged(metadata=metadata):
                self._other_layout(metadata, event.at)
                return
            case _:
                return
        self._changed(event.at)

    def _other_layout(self, metadata: str, at: Monotonic) -> None:
        """UpdateLayout: the server writes it into the metadata of our own participant."""
        if (name := layout_in_metadata(metadata)) is None:
            return
        try:
            layout = Layout.parse(name)
        except EgressError as error:
            self._on_warning(f"The layout was not changed: {error}")
            return
        logger.info("layout %s", layout)
        self._change(at, layout)

    def _changed(self, at: Monotonic) -> None:
        speakers = tuple(SceneSpeaker(identity, level) for identity, level in self._levels.items())
        people = tuple(self._person(participant) for participant in self._people.values())
        self._change(at, Scene(people, speakers))

    def _change(self, at: Monotonic, change: Scene | Layout) -> None:
        self._director.change(at, change)
        if self._on_change is not None:
            self._on_change(at, change)

    def _person(self, participant: Participant) -> ScenePerson:
        return ScenePerson(
            identity=participant.identity,
            name=participant.name,
            joined_at=participant.joined_at,
            kind=participant.kind,
            tracks=tuple(
                VideoTrack(
                    sid=sid,
                    source=VideoSource(track.source.value),
                    muted=track.muted,
                    size=Size(*track.size),
                    first_seen=self._received[sid],
                )
                for sid, track in participant.tracks.items()
                if track.kind is Kind.VIDEO and sid in self._received and track.source.value in _DRAWN
            ),
        )

    def only(self, feeds: Iterable[Feed]) -> Feed | None:
        return None


class SingleStage:
    """One picture over the whole canvas: the one that is wanted most among those that there are."""

    def __init__(self, size: Size, *, rank: Callable[[Feed], int], on_change: OnChange | None = None) -> None:
        """`rank` says how much a track is wanted, 0 the most."""
        self._on_change = on_change
        self._director = SingleDirector(size)
        self._rank = rank
        self._shown: dict[str, tuple[str, int]] = {}

    @property
    def director(self) -> Director:
        return self._director

    def added(self, feed: Feed, participant: Participant, at: Monotonic) -> None:
        rank = self._rank(feed)
        self._shown[feed.track_id] = feed.identity, rank
        self._change(at, CandidateChanged(feed.track_id, feed.identity, rank, feed.is_muted))

    def removed(self, feed: Feed, at: Monotonic) -> None:
        if self._shown.pop(feed.track_id, None) is not None:
            self._change(at, CandidateChanged(feed.track_id, feed.identity, None))

    def on_event(self, event: RoomEvent) -> None:
        match event:
            case TrackMuted(track=track) | TrackUnmuted(track=track) if track.sid in self._shown:
                identity, rank = self._shown[track.sid]
                self._change(event.at, CandidateChanged(track.sid, identity, rank, track.muted))
            case _:
                pass

    def _change(self, at: Monotonic, change: CandidateChanged) -> None:
        self._director.change(at, change)
        if self._on_change is not None:
            self._on_change(at, change)

    def only(self, feeds: Iterable[Feed]) -> Feed | None:
        return min(feeds, key=lambda feed: (feed.ended, feed.is_muted, self._rank(feed), -feed.rank), default=None)


def stage_of(
    plan: RecordingPlan, *, on_warning: Callable[[str], None], on_change: OnChange | None = None
) -> Stage | None:
    """What a plan draws; None when it draws nothing. `on_change` hears what the director is told.

    Raises InvalidRequest for a layout that cannot be.
    """
    video, source = plan.video, plan.source
    if video is None:
        return None
    size = Size(video.width, video.height)
    match source:
        case RoomSource(layout=layout):
            return RoomStage(layout, size, on_warning=on_warning, on_change=on_change)
        case MediaSource(video=selection):
            chosen = selection

            def rank(feed: Feed) -> int:
                wanted = chosen and chosen.rank(sid=feed.track_id, identity=feed.identity, source=feed.source)
                return wanted or 0

            return SingleStage(size, rank=rank, on_change=on_change)
        case ParticipantTracks() | TrackPair() | OneTrack():
            return SingleStage(size, rank=lambda feed: 0, on_change=on_change)
        case TemplateSource() | PageSource():
            raise ValueError("a page is captured, not composed")
        case _:
            assert_never(source)
