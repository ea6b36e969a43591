"""What an egress records: rooms, pages, participants and tracks as frozen descriptions that answer who belongs in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

from pyegress.plan.refusals import invalid_field
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.stream_urls import redact_page_url


class AudioMixing(Enum):
    """`RoomCompositeEgressRequest.audio_mixing`: who is heard on which side."""

    DEFAULT = 0
    DUAL_CHANNEL_AGENT = 1
    DUAL_CHANNEL_ALTERNATE = 2


class Channel(Enum):
    """`AudioChannel`: the side of the stereo output that a track goes to."""

    BOTH = 0
    LEFT = 1
    RIGHT = 2


class ParticipantKind(Enum):
    """`ParticipantInfo.Kind`."""

    STANDARD = 0
    INGRESS = 1
    EGRESS = 2
    SIP = 3
    AGENT = 4
    CONNECTOR = 7
    BRIDGE = 8


def channel_by_mixing(mixing: AudioMixing, *, agent: bool, index: int) -> Channel:
    """The side of a track in a room mix; `index` counts the audio tracks in the order in which they were added."""
    match mixing:
        case AudioMixing.DUAL_CHANNEL_AGENT:
            return Channel.LEFT if agent else Channel.RIGHT
        case AudioMixing.DUAL_CHANNEL_ALTERNATE:
            return Channel.RIGHT if index % 2 else Channel.LEFT
        case AudioMixing.DEFAULT:
            return Channel.BOTH


@dataclass(frozen=True, slots=True)
class RoomSource:
    """Everybody in a room: a layout drawn by us, the mix of all sound, or both. `layout` "" is the grid."""

    layout: str = ""
    mixing: AudioMixing = AudioMixing.DEFAULT


@dataclass(frozen=True, slots=True)
class TemplateSource:
    """A room as a web page draws it. The page is opened with layout, url and token as query parameters."""

    base_url: str = field(repr=False)
    layout: str = ""
    shown: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if not is_page_url(self.base_url):
            raise invalid_field(
                "template base url",
                f"{redact_page_url(self.base_url)!r} is not the URL of a page",
                "Give custom_base_url as http:// or https:// with a host",
            )
        object.__setattr__(self, "shown", redact_page_url(self.base_url))


@dataclass(frozen=True, slots=True)
class PageSource:
    """Any web page."""

    url: str = field(repr=False)
    await_start_signal: bool = False
    shown: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if not is_page_url(self.url):
            cause = f"{redact_page_url(self.url)!r} is not the URL of a page" if self.url else "No web page was named"
            raise invalid_field("web url", cause, "Give url as http:// or https:// with a host")
        object.__setattr__(self, "shown", redact_page_url(self.url))


def is_page_url(url: str) -> bool:
    """Whether a browser can open `url` over the network."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


class RouteMatch(Enum):
    """What an audio route goes by."""

    TRACK_ID = "track_id"
    PARTICIPANT_IDENTITY = "participant_identity"
    PARTICIPANT_KIND = "participant_kind"


@dataclass(frozen=True, slots=True)
class AudioRoute:
    """Sound that is taken, and its side. `value` is a track id, an identity, or the number of a kind as text."""

    match: RouteMatch
    value: str
    channel: Channel = Channel.BOTH

    def takes(self, *, sid: str, identity: str, kind: int) -> bool:
        """Whether an audio track goes this way. `kind` is the number of `ParticipantInfo.Kind`."""
        match self.match:
            case RouteMatch.TRACK_ID:
                return sid == self.value
            case RouteMatch.PARTICIPANT_IDENTITY:
                return identity == self.value
            case RouteMatch.PARTICIPANT_KIND:
                return str(kind) == self.value


@dataclass(frozen=True, slots=True)
class AudioSelection:
    """Which sound of a room is taken. The first route that fits decides; `capture_all` takes the rest to both sides."""

    routes: tuple[AudioRoute, ...] = ()
    capture_all: bool = False

    def channel(self, *, sid: str, identity: str, kind: int) -> Channel | None:
        """The side of an audio track, None when it is not taken."""
        for route in self.routes:
            if route.takes(sid=sid, identity=identity, kind=kind):
                return route.channel
        return Channel.BOTH if self.capture_all else None


@dataclass(frozen=True, slots=True)
class VideoSelection:
    """Which pictures are taken: one track by id, or camera or screen of a participant."""

    track_id: str = ""
    identity: str = ""
    prefer_screen_share: bool = False

    def rank(self, *, sid: str, identity: str, source: str) -> int | None:
        """How much a video track is wanted, 0 the most; None when it is not. The best one there is is shown."""
        if self.track_id:
            return 0 if sid == self.track_id else None
        if identity != self.identity:
            return None
        wanted = ("screen_share", "camera") if self.prefer_screen_share else ("camera",)
        return wanted.index(source) if source in wanted else None


@dataclass(frozen=True, slots=True)
class MediaSource:
    """Chosen pictures and chosen sound of a room (V2)."""

    video: VideoSelection | None = None
    audio: AudioSelection | None = None


Source = RoomSource | TemplateSource | PageSource | MediaSource | ParticipantTracks | TrackPair | OneTrack
