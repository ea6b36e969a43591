"""The requests of recording rules, V1 and V2: which one a rule means, and what an event puts into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from enum import Enum

from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.errors import InvalidRequest

RuleRequest = (
    pb.RoomCompositeEgressRequest | pb.ParticipantEgressRequest | pb.TrackEgressRequest | pb.StartEgressRequest
)


class Subject(Enum):
    """What one egress of a rule records, and so what starts it."""

    ROOM = "room"
    PARTICIPANT = "participant"
    TRACK = "track"


_V1: Mapping[Subject, type[RuleRequest]] = {
    Subject.ROOM: pb.RoomCompositeEgressRequest,
    Subject.PARTICIPANT: pb.ParticipantEgressRequest,
    Subject.TRACK: pb.TrackEgressRequest,
}
#: Fields that only V2 has.
_V2_FIELDS = ("outputs", "template", "media", "storage", "web")


def empty_request(subject: Subject, data: object) -> RuleRequest:
    """The request that the fields in `data` are for: V2 when it has one of V2's fields."""
    if isinstance(data, Mapping) and any(field in data for field in _V2_FIELDS):
        return pb.StartEgressRequest()
    return _V1[subject]()


def check_subject(request: RuleRequest, subject: Subject) -> None:
    """Raise InvalidRequest, whose field is that of the request, for what the event will say."""
    for key in ("room_name", "identity", "track_id"):
        if getattr(request, key, ""):
            raise _comes_from_event(key)
    if not isinstance(request, pb.StartEgressRequest):
        return
    source = request.WhichOneof("source")
    if source == "web" or (source == "template" and subject is not Subject.ROOM):
        raise InvalidRequest(
            f"is no source of a {subject.value}", field=source, remedy="Leave it out, or record the room"
        )
    media = request.media
    if media.video_track_id:
        raise _comes_from_event("media.video_track_id")
    if media.participant_video.identity:
        raise _comes_from_event("media.participant_video.identity")


def bound(
    request: RuleRequest,
    subject: Subject,
    room_name: str,
    *,
    identity: str = "",
    track_id: str = "",
    track_type: int = models.TrackType.AUDIO,
) -> RuleRequest:
    """A copy of the request for one room, participant or track."""
    request = deepcopy(request)
    request.room_name = room_name
    match request:
        case pb.ParticipantEgressRequest():
            request.identity = identity
        case pb.TrackEgressRequest():
            request.track_id = track_id
        case pb.StartEgressRequest():
            _bind(request, subject, identity, track_id, track_type)
    return request


def names_of(request: RuleRequest) -> Iterator[str]:
    """The names of files that a request writes, "" for those that are made up."""
    match request:
        case pb.TrackEgressRequest():
            yield request.file.filepath
        case pb.StartEgressRequest():
            for output in request.outputs:
                kind = output.WhichOneof("config")
                if kind == "file":
                    yield output.file.filepath
                elif kind == "segments":
                    yield output.segments.filename_prefix or output.segments.playlist_name
                elif kind == "images":
                    yield output.images.filename_prefix
        case pb.RoomCompositeEgressRequest() | pb.ParticipantEgressRequest():
            yield from (output.filepath for output in request.file_outputs)
            yield from (output.filename_prefix or output.playlist_name for output in request.segment_outputs)
            yield from (output.filename_prefix for output in request.image_outputs)
            if isinstance(request, pb.RoomCompositeEgressRequest):
                yield request.file.filepath
                yield request.segments.filename_prefix or request.segments.playlist_name


def _bind(request: pb.StartEgressRequest, subject: Subject, identity: str, track_id: str, track_type: int) -> None:
    media = request.media if subject is not Subject.ROOM else None
    if media is None:
        if request.WhichOneof("source") is None:
            request.template.SetInParent()
        return
    if subject is Subject.PARTICIPANT:
        heard = media.audio.capture_all or media.audio.routes
        seen = media.HasField("participant_video")
        # What the rule leaves open is recorded.
        if seen or not heard:
            media.participant_video.identity = identity
        for route in media.audio.routes:
            if route.WhichOneof("match") is None:
                route.participant_identity = identity
        if not heard:
            media.audio.routes.add(participant_identity=identity)
    elif track_type == models.TrackType.VIDEO:
        media.video_track_id = track_id
    else:
        media.audio.routes.add(track_id=track_id)


def _comes_from_event(key: str) -> InvalidRequest:
    return InvalidRequest("comes from the event", field=key, remedy="Leave it out")
