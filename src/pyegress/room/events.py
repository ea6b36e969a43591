"""What a room tells its user: typed events, and the sink that a subscribed track writes to.

Names and meanings follow livekit-protocol (`ParticipantInfo`, `TrackInfo`, `SpeakerInfo`, `DisconnectReason`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError
from pyegress.rtp.frame import EncodedFrame


class Source(Enum):
    """`TrackSource` of livekit-protocol, in the spelling of file names and command lines."""

    UNKNOWN = "unknown"
    CAMERA = "camera"
    MICROPHONE = "microphone"
    SCREEN_SHARE = "screen_share"
    SCREEN_SHARE_AUDIO = "screen_share_audio"


@dataclass(frozen=True, slots=True)
class TrackPublication:
    """A published track as the server describes it (`TrackInfo`)."""

    sid: str
    name: str
    kind: Kind
    source: Source
    #: The published codec; None when it is one that pyegress does not know.
    codec: Codec | None
    mime: str
    muted: bool
    #: Pixels (width, height) announced by the publisher; (0, 0) when unknown or audio.
    size: tuple[int, int] = (0, 0)
    simulcast: bool = False
    #: End-to-end encrypted (`TrackInfo.encryption`): frames arrive, but nobody without the key can decode them.
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Participant:
    """A remote participant (`ParticipantInfo`)."""

    sid: str
    identity: str
    name: str
    #: `ParticipantInfo.Kind` in lower case: standard, ingress, egress, sip, agent, connector.
    kind: str
    metadata: str
    #: `ParticipantInfo.joined_at(_ms)`.
    joined_at: Wall
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: Publications by track sid.
    tracks: Mapping[str, TrackPublication] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Base of everything a room reports. `at` is when we learned it."""

    at: Monotonic


@dataclass(frozen=True, slots=True)
class ParticipantJoined(RoomEvent):
    participant: Participant


@dataclass(frozen=True, slots=True)
class ParticipantLeft(RoomEvent):
    participant: Participant
    #: `DisconnectReason` in lower case, "" when the server did not say.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ParticipantUpdated(RoomEvent):
    """Name, metadata, attributes or kind changed."""

    participant: Participant


@dataclass(frozen=True, slots=True)
class TrackPublished(RoomEvent):
    participant: Participant
    track: TrackPublication


@dataclass(frozen=True, slots=True)
class TrackUnpublished(RoomEvent):
    participant: Participant
    track: TrackPublication


@dataclass(frozen=True, slots=True)
class TrackMuted(RoomEvent):
    participant: Participant
    track: TrackPublication


@dataclass(frozen=True, slots=True)
class TrackUnmuted(RoomEvent):
    participant: Participant
    track: TrackPublication


@dataclass(frozen=True, slots=True)
class TrackUpdated(RoomEvent):
    """Codec, size, name or simulcast layers of a publication changed."""

    participant: Participant
    track: TrackPublication


@dataclass(frozen=True, slots=True)
class SubscriptionFailed(RoomEvent):
    """The server does not send us a track (`SubscriptionResponse`, `SubscriptionPermissionUpdate`).

    When it is `final` the subscription has ended (its sink's `on_ended` was called).
    """

    track_sid: str
    error: EgressError
    final: bool


@dataclass(frozen=True, slots=True)
class Speaker:
    """One entry of `SpeakersChanged`: level is linear, 0..1."""

    identity: str
    level: float
    active: bool


@dataclass(frozen=True, slots=True)
class SpeakersChanged(RoomEvent):
    #: Only the speakers that changed.
    speakers: tuple[Speaker, ...]


@dataclass(frozen=True, slots=True)
class RoomUpdated(RoomEvent):
    """Room name, sid or metadata changed (or became known after joining)."""

    sid: str
    name: str
    metadata: str


@dataclass(frozen=True, slots=True)
class OwnMetadataChanged(RoomEvent):
    """The metadata of our own participant changed: UpdateLayout arrives this way."""

    metadata: str


@dataclass(frozen=True, slots=True)
class Reconnecting(RoomEvent):
    """The connection was lost. `full` is False for a resume (media undisturbed), True for a new session."""

    full: bool
    cause: str


@dataclass(frozen=True, slots=True)
class Reconnected(RoomEvent):
    full: bool
    #: Seconds between the loss and now.
    gap: float


@dataclass(frozen=True, slots=True)
class Disconnected(RoomEvent):
    """The last event of a room. `error` is None after our own leave and after the room was closed in order."""

    #: `DisconnectReason` in lower case, for instance client_initiated, room_deleted, server_shutdown.
    reason: str
    error: EgressError | None = None


@dataclass(frozen=True, slots=True)
class SenderReportSeen:
    """One RTCP sender report (RFC 3550 section 6.4.1) of a subscribed track."""

    #: NTP time of the report as Unix seconds on the sender's clock.
    sender_time: Wall
    #: RTP timestamp of the report, extended in the same line as `EncodedFrame.timestamp`.
    timestamp: int
    arrival: Monotonic


@dataclass(slots=True)
class TrackStats:
    """Counters of one subscription since its beginning, reconnects included."""

    packets: int = 0
    octets: int = 0
    frames: int = 0
    #: Sequence numbers that never arrived, not even by retransmission.
    packets_lost: int = 0
    packets_recovered: int = 0
    frames_dropped: int = 0
    nacks_sent: int = 0
    plis_sent: int = 0
    #: RFC 3550 section 6.4.1 interarrival jitter, seconds.
    jitter: float = 0.0


class TrackSink(Protocol):
    """Receives one subscribed track. Called on the event loop: must return at once and never raise."""

    def on_stream(self, codec: Codec) -> None:
        """A media stream begins: at the first subscription, after a full reconnect, and when the codec changes.

        RTP timestamps before and after are unrelated.
        """

    def on_frame(self, frame: EncodedFrame) -> None:
        """The next frame in decoding order."""

    def on_sender_report(self, report: SenderReportSeen) -> None:
        """A sender report of the current stream."""

    def on_ended(self) -> None:
        """Nothing more will come: unpublished, participant left, unsubscribed, or the room is over."""
