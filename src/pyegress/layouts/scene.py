"""What a layout looks at: who is in the room, which pictures they send, and who is heard."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyegress.clock import Monotonic, Wall
from pyegress.layouts.geometry import Size

UNKNOWN_SIZE = Size(0, 0)
_BEFORE_EVERYTHING = Monotonic(0.0)
#: Kinds of `ParticipantInfo` that stand for a person, who can have a placeholder. Agents, ingresses and egresses are
#: seen only when they send a picture.
_PEOPLE = frozenset({"standard", "sip", "connector"})


class VideoSource(Enum):
    """The `TrackSource` values that are drawn, in the spelling of the rest of pyegress."""

    CAMERA = "camera"
    SCREEN_SHARE = "screen_share"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """A subscribed video publication (`TrackInfo`)."""

    sid: str
    source: VideoSource
    muted: bool = False
    #: Pixels as the publisher announced them; (0, 0) when unknown.
    size: Size = UNKNOWN_SIZE
    #: When we learned of it; decides between the tracks of people who joined at the same time.
    first_seen: Monotonic = _BEFORE_EVERYTHING

    @property
    def sized(self) -> bool:
        return self.size.width > 0 and self.size.height > 0

    @property
    def portrait(self) -> bool:
        """Announced as high as wide or higher. What has no known size counts as landscape."""
        return self.sized and self.size.width <= self.size.height


@dataclass(frozen=True, slots=True)
class Participant:
    """A remote participant (`ParticipantInfo`) with the video that we subscribe to."""

    identity: str
    name: str
    joined_at: Wall
    #: `ParticipantInfo.Kind` in lower case.
    kind: str = "standard"
    #: `ParticipantPermission.hidden` or `.recorder`: never drawn, whatever it sends.
    hidden: bool = False
    tracks: tuple[VideoTrack, ...] = ()

    @property
    def is_person(self) -> bool:
        """May be drawn as a placeholder while sending no picture."""
        return not self.hidden and self.kind in _PEOPLE

    @property
    def shown_name(self) -> str:
        """The name, or the identity of somebody without one; on one line."""
        return " ".join("".join(c if c.isprintable() else " " for c in self.name or self.identity).split())


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who is speaking now (an active `SpeakerInfo`); `level` is linear, 0..1."""

    identity: str
    level: float


@dataclass(frozen=True, slots=True)
class Scene:
    """The room at one moment. Participants and their tracks are in the order in which we learned of them.

    Our own participant does not belong into it, nor do audio tracks and tracks that are not subscribed.
    """

    participants: tuple[Participant, ...] = ()
    #: All active speakers, not only those that changed.
    speakers: tuple[Speaker, ...] = ()

    @property
    def has_screen_share(self) -> bool:
        return any(
            track.source is VideoSource.SCREEN_SHARE
            for participant in self.participants
            if not participant.hidden
            for track in participant.tracks
        )
