"""Rules that record without being asked: what livekit-server's webhooks say of a room, against what rules name."""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from pyegress.clock import Wall
from pyegress.errors import EgressError, InvalidRequest
from pyegress.plan.build import plan_recording
from pyegress.plan.recording_plan import Service, Start
from pyegress.plan.request_json import merge_json
from pyegress.service.egress_service import EgressStart
from pyegress.service.rule_requests import RuleRequest, Subject, bound, check_subject, empty_request, names_of

#: What makes a name different for every egress of a rule.
_UNIQUE: Mapping[Subject, tuple[str, ...]] = {
    Subject.ROOM: ("{time}", "{utc}", "{room_id}"),
    Subject.PARTICIPANT: ("{time}", "{utc}"),
    Subject.TRACK: ("{track_id}",),
}
#: A room that was missed when it began is recorded from the next sign of life of it.
_EVENTS: Mapping[Subject, frozenset[str]] = {
    Subject.ROOM: frozenset({"room_started", "participant_joined", "track_published"}),
    Subject.PARTICIPANT: frozenset({"participant_joined", "track_published"}),
    Subject.TRACK: frozenset({"track_published"}),
}
_TRACKS: Mapping[str, int | None] = {
    "all": None,
    "audio": models.TrackType.AUDIO,
    "video": models.TrackType.VIDEO,
}
_KEYS = ("rooms", "record", "participants", "tracks", "request")


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """One rule. `rooms` and `participants` (identities) are patterns with `*`, `?` and `[…]`, case counts.

    `track_type` is a number of `livekit.TrackType`, None for all. `request` lacks the room and whom or what to record.
    """

    subject: Subject
    request: RuleRequest
    rooms: str = "*"
    participants: str = "*"
    track_type: int | None = None

    def start(self, event: WebhookEvent) -> EgressStart | None:
        """The egress that this rule wants after `event` of livekit-server, None for none.

        The egress id follows from rule and subject, so that an event that comes twice, or again after a restart of
        the service, means the same egress.
        """
        room, participant, track = event.room, event.participant, event.track
        if event.event not in _EVENTS[self.subject] or not room.sid or not fnmatchcase(room.name, self.rooms):
            return None
        if event.event != "room_started" and _is_recorder(participant):
            return None
        subject = room.sid
        if self.subject is not Subject.ROOM:
            if not fnmatchcase(participant.identity, self.participants):
                return None
            subject = participant.sid
        if self.subject is Subject.TRACK:
            if self.track_type is not None and track.type != self.track_type:
                return None
            subject = track.sid
        if not subject:
            return None
        request = bound(
            self.request,
            self.subject,
            room.name,
            identity=participant.identity,
            track_id=track.sid,
            track_type=track.type,
        )
        return EgressStart(self._egress_id(room.sid, subject), request, room_id=room.sid)

    def _egress_id(self, *subject: str) -> str:
        rule = (self.subject.value, self.rooms, self.participants, str(self.track_type))
        digest = hashlib.sha256("\0".join((*rule, *subject)).encode())
        digest.update(self.request.SerializeToString(deterministic=True))
        # Letters and digits only, as ids of LiveKit have.
        return "EG_" + base64.b32encode(digest.digest()).decode()[:16]


def starts_of(rules: Sequence[RecordingRule], event: WebhookEvent) -> Iterator[EgressStart]:
    """The egresses that the rules want after an event."""
    for rule in rules:
        if (start := rule.start(event)) is not None:
            yield start


def _is_recorder(participant: models.ParticipantInfo) -> bool:
    permission = participant.permission
    return participant.kind == models.ParticipantInfo.Kind.EGRESS or permission.recorder or permission.hidden


# Reading rules


def read_rules(data: object) -> tuple[RecordingRule, ...]:
    """Rules from a configuration: a list of objects with `record` (room, participant or track), `request` (the fields
    of its RoomComposite-, Participant- or TrackEgressRequest), and `rooms`, `participants`, `tracks`.

    Raises InvalidRequest with the key that is wrong.
    """
    if not isinstance(data, list):
        raise _wrong("", "is no list of rules", "Write a list")
    return tuple(_read_rule(f"[{index}]", entry) for index, entry in enumerate(data))


def rule_errors(data: Sequence[object]) -> Iterator[InvalidRequest]:
    """What is wrong with each rule, the first of each."""
    for index, entry in enumerate(data):
        try:
            _read_rule(f"[{index}]", entry)
        except InvalidRequest as error:
            yield error


def _wrong(where: str, what: str, remedy: str) -> InvalidRequest:
    key = f"auto_egress{where}"
    return InvalidRequest(f"{key} {what}", field=key, remedy=remedy)


def _read_rule(where: str, entry: object) -> RecordingRule:
    if not isinstance(entry, dict):
        raise _wrong(where, "is no rule", f"Write an object with {', '.join(_KEYS)}")
    for key in entry:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise _wrong(
                f"{where}.{key}", "is unknown", f"Did you mean {near[0]}?" if near else f"Use {', '.join(_KEYS)}"
            )
    subjects = {subject.value: subject for subject in Subject}
    subject = subjects.get(_text(where, entry, "record", ""))
    if subject is None:
        raise _wrong(f"{where}.record", "does not say what to record", f"Write one of {', '.join(subjects)}")
    tracks = _text(where, entry, "tracks", "all")
    if tracks not in _TRACKS:
        raise _wrong(f"{where}.tracks", "names no kind of tracks", f"Write one of {', '.join(_TRACKS)}")
    rule = RecordingRule(
        subject,
        _read_request(where, subject, _TRACKS[tracks], entry.get("request")),
        _text(where, entry, "rooms", "*"),
        _text(where, entry, "participants", "*"),
        _TRACKS[tracks],
    )
    if subject is Subject.ROOM and rule.participants != "*":
        raise _wrong(f"{where}.participants", "is not for rooms", "Leave it out, or record participants or tracks")
    if subject is not Subject.TRACK and rule.track_type is not None:
        raise _wrong(f"{where}.tracks", "is for tracks only", "Leave it out, or record tracks")
    return rule


def _text(where: str, entry: Mapping[object, object], key: str, default: str) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str):
        raise _wrong(f"{where}.{key}", "must be text", "Put it in quotation marks")
    return value


def _read_request(where: str, subject: Subject, track_type: int | None, data: object) -> RuleRequest:
    request = empty_request(subject, data)
    at = f"{where}.request"
    if data is None:
        raise _wrong(at, "is missing", "Say where recordings go, for instance file_outputs")
    try:
        merge_json(request, data)
    except InvalidRequest as error:
        raise _wrong(at, f"cannot be used: {error.message}", error.remedy) from None
    try:
        check_subject(request, subject)
    except InvalidRequest as error:
        raise _wrong(f"{at}.{error.field}", error.message, error.remedy) from None
    every = (models.TrackType.AUDIO, models.TrackType.VIDEO)
    for each in every if track_type is None else (track_type,):
        try:
            _plan_sample(request, subject, each)
        except EgressError as error:
            raise InvalidRequest(
                f"auto_egress{at}: {error.message}", field=f"auto_egress{at}", remedy=error.remedy
            ) from None
    for name in names_of(request):
        if name and not name.endswith("/") and not any(token in name for token in _UNIQUE[subject]):
            tokens = " or ".join(_UNIQUE[subject])
            raise _wrong(at, f"would write {name!r} again and again", f"Put {tokens} into it, or let it end in /")
    return request


def _plan_sample(request: RuleRequest, subject: Subject, track_type: int) -> None:
    """Plan an egress of the rule, as each will be: what no egress can do is refused now."""
    sample = bound(request, subject, "room", identity="identity", track_id="TR_track", track_type=track_type)
    service = Service(ws_url="ws://localhost", api_key="key", api_secret="secret")
    plan_recording(sample, Start("EG_sample", Wall(0.0)), service)
