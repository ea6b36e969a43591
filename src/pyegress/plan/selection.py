"""Which tracks of a room a copy recording takes: frozen, pure, checked where it is made."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.errors import InvalidRequest

#: `TrackSource` names in the order in which people meet them.
SOURCES = ("camera", "microphone", "screen_share", "screen_share_audio")


@dataclass(frozen=True, slots=True)
class OneTrack:
    """Track egress: one track, by its id or by who publishes it and from which source."""

    track_id: str = ""
    identity: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.track_id and (self.identity or self.source):
            raise InvalidRequest(
                "A track id and an identity with a source were both given",
                field="track_id",
                remedy="Give either the track id, or the identity and the source",
            )
        if not self.track_id and not (self.identity and self.source):
            raise InvalidRequest(
                "No track was named",
                field="track_id",
                remedy="Give the track id (--track-id), or the identity and the source (--identity, --source)",
            )
        if self.source and self.source not in SOURCES:
            raise InvalidRequest(
                f"Unknown track source {self.source!r}", field="source", remedy=f"Use one of {', '.join(SOURCES)}"
            )

    def takes(self, *, identity: str, sid: str, source: str) -> bool:
        """Whether a publication is the one that is wanted."""
        if self.track_id:
            return sid == self.track_id
        return identity == self.identity and source == self.source

    def __str__(self) -> str:
        return f"track {self.track_id}" if self.track_id else f"the {self.source} of {self.identity!r}"


@dataclass(frozen=True, slots=True)
class ParticipantTracks:
    """Participant egress: camera and microphone, or with `screen_share` the screen and its sound."""

    identity: str
    screen_share: bool = False

    def __post_init__(self) -> None:
        if not self.identity:
            raise InvalidRequest(
                "No participant was named", field="identity", remedy="Give the participant's identity (--identity)"
            )

    @property
    def sources(self) -> tuple[str, str]:
        """The sources taken, video first."""
        return ("screen_share", "screen_share_audio") if self.screen_share else ("camera", "microphone")

    def takes(self, *, identity: str, sid: str, source: str) -> bool:
        """Whether a publication belongs into the recording."""
        return identity == self.identity and source in self.sources

    def __str__(self) -> str:
        return f"{'the screen share' if self.screen_share else 'camera and microphone'} of {self.identity!r}"


@dataclass(frozen=True, slots=True)
class TrackPair:
    """TrackComposite egress: one audio and/or one video track by id."""

    audio_track_id: str = ""
    video_track_id: str = ""

    def __post_init__(self) -> None:
        if not self.audio_track_id and not self.video_track_id:
            raise InvalidRequest(
                "No track was named",
                field="audio_track_id or video_track_id",
                remedy="Give an audio track id, a video track id, or both (--audio-track-id, --video-track-id)",
            )
        if self.audio_track_id == self.video_track_id:
            raise InvalidRequest(
                "The audio and the video track are the same", field="audio_track_id", remedy="Give two different tracks"
            )

    def takes(self, *, identity: str, sid: str, source: str) -> bool:
        """Whether a publication is one of the two."""
        return bool(sid) and sid in (self.audio_track_id, self.video_track_id)

    def __str__(self) -> str:
        return " and ".join(
            f"{kind} track {sid}"
            for kind, sid in (("video", self.video_track_id), ("audio", self.audio_track_id))
            if sid
        )


@dataclass(frozen=True, slots=True)
class EveryTrack:
    """Every track of everybody, one file each."""

    def takes(self, *, identity: str, sid: str, source: str) -> bool:
        return True

    def __str__(self) -> str:
        return "every track of everybody"


Selection = OneTrack | ParticipantTracks | TrackPair | EveryTrack
