"""The room as the server describes it: signal messages go in, typed events of what changed come out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from livekit.protocol.models import Encryption, ParticipantInfo, TrackInfo, TrackSource, TrackType
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import JoinResponse, RoomMovedResponse
from livekit.protocol.rtc import SpeakersChanged as SpeakerUpdate

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.room.events import (
    OwnMetadataChanged,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    RoomEvent,
    RoomUpdated,
    Source,
    Speaker,
    SpeakersChanged,
    TrackMuted,
    TrackPublication,
    TrackPublished,
    TrackUnmuted,
    TrackUnpublished,
    TrackUpdated,
)
from pyegress.room.failures import reason_name

_SOURCES = {
    TrackSource.CAMERA: Source.CAMERA,
    TrackSource.MICROPHONE: Source.MICROPHONE,
    TrackSource.SCREEN_SHARE: Source.SCREEN_SHARE,
    TrackSource.SCREEN_SHARE_AUDIO: Source.SCREEN_SHARE_AUDIO,
}


def describe_track(info: TrackInfo) -> TrackPublication | None:
    """A publication as we show it; None for kinds that are not media."""
    if info.type not in (TrackType.AUDIO, TrackType.VIDEO):
        return None
    mime = info.mime_type or (info.codecs[0].mime_type if info.codecs else "")
    # RED (RFC 2198) around Opus is a way to send Opus.
    codec = Codec.OPUS if mime.lower() == "audio/red" else Codec.from_mime(mime)
    return TrackPublication(
        sid=info.sid,
        name=info.name,
        kind=Kind.VIDEO if info.type == TrackType.VIDEO else Kind.AUDIO,
        source=_SOURCES.get(info.source, Source.UNKNOWN),
        codec=codec,
        mime=mime,
        muted=info.muted,
        size=(info.width, info.height),
        simulcast=info.simulcast or any(len(codec.layers) > 1 for codec in info.codecs),
        encrypted=info.encryption != Encryption.NONE,
    )


def describe_participant(info: ParticipantInfo) -> Participant:
    """A participant as we show it."""
    try:
        kind = ParticipantInfo.Kind.Name(info.kind).lower()
    except ValueError:
        kind = f"kind_{info.kind}"
    tracks = (describe_track(track) for track in info.tracks)
    return Participant(
        sid=info.sid,
        identity=info.identity,
        name=info.name,
        kind=kind,
        metadata=info.metadata,
        joined_at=Wall(info.joined_at_ms / 1000 if info.joined_at_ms else float(info.joined_at)),
        attributes=MappingProxyType(dict(info.attributes)),
        tracks=MappingProxyType({track.sid: track for track in tracks if track is not None}),
    )


class RoomModel:
    """Participants and tracks by identity and sid, without ourselves and without hidden participants."""

    def __init__(self) -> None:
        self.name = ""
        self.sid = ""
        self.metadata = ""
        self.own_sid = ""
        self.own_identity = ""
        self.own_metadata = ""
        self._participants: dict[str, Participant] = {}
        self._versions: dict[str, int] = {}

    @property
    def participants(self) -> Mapping[str, Participant]:
        """By identity; a live, read-only view."""
        return MappingProxyType(self._participants)

    def find_track(self, sid: str) -> tuple[Participant, TrackPublication] | None:
        """The publication with this sid and who publishes it."""
        for participant in self._participants.values():
            if track := participant.tracks.get(sid):
                return participant, track
        return None

    def joined(self, message: JoinResponse | RoomMovedResponse, now: Monotonic) -> list[RoomEvent]:
        """A whole picture of the room: first join, full reconnect, or a move. Who is not in it has left."""
        own = message.participant
        events: list[RoomEvent] = []
        first = not self.own_identity
        self.own_sid, self.own_identity = own.sid, own.identity
        if first:
            self.own_metadata = own.metadata
        else:
            events += self._own(own, now)
        events += self.room_updated(message.room, now)
        present = {info.identity for info in message.other_participants if self._shown(info)}
        for identity in [identity for identity in self._participants if identity not in present]:
            events += self._left(identity, "", now)
        self._versions.clear()
        events += self.participants_updated(message.other_participants, now)
        return events

    def participants_updated(self, infos: Iterable[ParticipantInfo], now: Monotonic) -> list[RoomEvent]:
        """`ParticipantUpdate`: news of some participants, in any order, older ones among them."""
        events: list[RoomEvent] = []
        for info in infos:
            if info.sid == self.own_sid or info.identity == self.own_identity:
                if info.sid == self.own_sid and info.state != ParticipantInfo.State.DISCONNECTED:
                    events += self._own(info, now)
                continue
            if info.version < self._versions.get(info.sid, 0):
                continue
            known = self._participants.get(info.identity)
            if info.state == ParticipantInfo.State.DISCONNECTED or not self._shown(info):
                # An identity that came back has another sid: the farewell of the old one is history.
                if known is not None and known.sid == info.sid:
                    reason = reason_name(info.disconnect_reason) if info.disconnect_reason else ""
                    events += self._left(info.identity, reason, now)
                continue
            self._versions[info.sid] = info.version
            if known is not None and known.sid != info.sid:
                events += self._left(info.identity, "", now)
                known = None
            events += self._present(known, describe_participant(info), now)
        return events

    def room_updated(self, room: RoomInfo, now: Monotonic) -> list[RoomEvent]:
        """`RoomUpdate`. A room's sid may come later than the join response."""
        new = (room.sid or self.sid, room.name or self.name, room.metadata)
        if new == (self.sid, self.name, self.metadata):
            return []
        self.sid, self.name, self.metadata = new
        return [RoomUpdated(now, sid=self.sid, name=self.name, metadata=self.metadata)]

    def speakers_changed(self, message: SpeakerUpdate, now: Monotonic) -> list[RoomEvent]:
        """`SpeakersChanged`: the server sends only changes, and only of participants that we subscribe to."""
        identities = {participant.sid: identity for identity, participant in self._participants.items()}
        speakers = tuple(
            Speaker(identities[speaker.sid], speaker.level, speaker.active)
            for speaker in message.speakers
            if speaker.sid in identities
        )
        return [SpeakersChanged(now, speakers)] if speakers else []

    def _shown(self, info: ParticipantInfo) -> bool:
        return info.identity != self.own_identity and not info.permission.hidden

    def _own(self, info: ParticipantInfo, now: Monotonic) -> list[RoomEvent]:
        if info.metadata == self.own_metadata:
            return []
        self.own_metadata = info.metadata
        return [OwnMetadataChanged(now, info.metadata)]

    def _left(self, identity: str, reason: str, now: Monotonic) -> list[RoomEvent]:
        gone = self._participants.pop(identity)
        self._versions.pop(gone.sid, None)
        events: list[RoomEvent] = [TrackUnpublished(now, gone, track) for track in gone.tracks.values()]
        return [*events, ParticipantLeft(now, gone, reason)]

    def _present(self, old: Participant | None, new: Participant, now: Monotonic) -> list[RoomEvent]:
        self._participants[new.identity] = new
        events: list[RoomEvent] = []
        if old is None:
            events.append(ParticipantJoined(now, new))
        elif _described(old) != _described(new):
            events.append(ParticipantUpdated(now, new))
        before: Mapping[str, TrackPublication] = old.tracks if old is not None else {}
        events += [TrackUnpublished(now, new, track) for sid, track in before.items() if sid not in new.tracks]
        for sid, track in new.tracks.items():
            if sid not in before:
                events.append(TrackPublished(now, new, track))
            else:
                events += [kind(now, new, track) for kind in _changes(before[sid], track)]
        return events


def _described(participant: Participant) -> tuple[object, ...]:
    return participant.name, participant.metadata, participant.kind, dict(participant.attributes)


def _changes(old: TrackPublication, new: TrackPublication) -> list[Callable[..., RoomEvent]]:
    changes: list[Callable[..., RoomEvent]] = []
    if old.muted != new.muted:
        changes.append(TrackMuted if new.muted else TrackUnmuted)
    if _static(old) != _static(new):
        changes.append(TrackUpdated)
    return changes


def _static(track: TrackPublication) -> tuple[object, ...]:
    return track.name, track.source, track.codec, track.mime, track.size, track.simulcast, track.encrypted
