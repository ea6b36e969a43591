"""Signal messages in, events out."""

from __future__ import annotations

import pytest
from livekit.protocol.models import (
    DisconnectReason,
    Encryption,
    ParticipantInfo,
    ParticipantPermission,
    SimulcastCodecInfo,
    SpeakerInfo,
    TrackInfo,
    TrackSource,
    TrackType,
    VideoLayer,
)
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import JoinResponse, RoomMovedResponse
from livekit.protocol.rtc import SpeakersChanged as SpeakerUpdate

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.room.events import (
    OwnMetadataChanged,
    ParticipantLeft,
    ParticipantUpdated,
    RoomEvent,
    RoomUpdated,
    Source,
    SpeakersChanged,
    TrackMuted,
    TrackPublished,
    TrackUnpublished,
    TrackUpdated,
)
from pyegress.room.model import RoomModel, describe_participant, describe_track

pytestmark = pytest.mark.wire

NOW = Monotonic(5.0)
GONE = ParticipantInfo.State.DISCONNECTED


def camera(sid: str = "TR_cam", **changes: object) -> TrackInfo:
    fields: dict[str, object] = {
        "sid": sid,
        "type": TrackType.VIDEO,
        "source": TrackSource.CAMERA,
        "mime_type": "video/VP8",
        "width": 640,
        "height": 360,
    }
    return TrackInfo(**(fields | changes))  # type: ignore[arg-type]


def person(identity: str, sid: str = "", version: int = 1, *tracks: TrackInfo, **changes: object) -> ParticipantInfo:
    fields: dict[str, object] = {"identity": identity, "sid": sid or f"PA_{identity}", "version": version}
    return ParticipantInfo(tracks=tracks, **(fields | changes))  # type: ignore[arg-type]


def join(*others: ParticipantInfo, own_sid: str = "PA_me", metadata: str = "") -> JoinResponse:
    return JoinResponse(
        room=RoomInfo(name="stage", sid="RM_1", metadata="m"),
        participant=ParticipantInfo(sid=own_sid, identity="EG_me", metadata=metadata),
        other_participants=others,
    )


@pytest.fixture
def model() -> RoomModel:
    """A room with ada, who has a camera."""
    model = RoomModel()
    model.joined(join(person("ada", "", 3, camera())), NOW)
    return model


def names(events: list[RoomEvent]) -> list[str]:
    assert all(event.at == NOW for event in events)
    return [type(event).__name__ for event in events]


def test_join_tells_who_and_what_is_there() -> None:
    model = RoomModel()
    events = model.joined(join(person("ada", "", 1, camera()), person("bob")), NOW)
    assert names(events) == ["RoomUpdated", "ParticipantJoined", "TrackPublished", "ParticipantJoined"]
    assert (model.name, model.sid, model.metadata, model.own_sid) == ("stage", "RM_1", "m", "PA_me")
    assert list(model.participants) == ["ada", "bob"]
    found = model.find_track("TR_cam")
    assert found is not None
    assert found[0].identity == "ada"
    assert model.find_track("TR_other") is None


def test_publications_as_they_are_described() -> None:
    track = describe_track(camera(muted=True, name="front", simulcast=True))
    assert track is not None
    assert (track.kind, track.source, track.codec, track.size) == (Kind.VIDEO, Source.CAMERA, Codec.VP8, (640, 360))
    assert (track.muted, track.name, track.simulcast, track.encrypted) == (True, "front", True, False)
    red = describe_track(TrackInfo(sid="TR_a", type=TrackType.AUDIO, mime_type="audio/red"))
    assert red is not None
    assert (red.codec, red.mime, red.kind) == (Codec.OPUS, "audio/red", Kind.AUDIO)
    layers = [VideoLayer(), VideoLayer()]
    late = describe_track(camera(mime_type="", codecs=[SimulcastCodecInfo(mime_type="video/H264", layers=layers)]))
    assert late is not None
    assert (late.codec, late.simulcast) == (Codec.H264, True)
    unknown = describe_track(camera(mime_type="video/x-new", source=77, encryption=Encryption.GCM))
    assert unknown is not None
    assert (unknown.codec, unknown.source, unknown.encrypted) == (None, Source.UNKNOWN, True)
    assert describe_track(TrackInfo(sid="TR_d", type=TrackType.DATA)) is None


def test_participants_as_they_are_described() -> None:
    info = person("ada", joined_at=7, joined_at_ms=7250, attributes={"a": "b"}, kind=ParticipantInfo.Kind.SIP)
    participant = describe_participant(info)
    assert (participant.joined_at, participant.kind, dict(participant.attributes)) == (7.25, "sip", {"a": "b"})
    assert describe_participant(person("ada", joined_at=7)).joined_at == 7.0
    assert describe_participant(person("ada", kind=99)).kind == "kind_99"


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([camera()], []),
        ([camera(muted=True)], ["TrackMuted"]),
        ([camera(width=1280, height=720)], ["TrackUpdated"]),
        ([camera(muted=True, mime_type="video/H264")], ["TrackMuted", "TrackUpdated"]),
        ([], ["TrackUnpublished"]),
        ([camera(), camera("TR_2")], ["TrackPublished"]),
        ([camera("TR_2")], ["TrackUnpublished", "TrackPublished"]),
    ],
)
def test_changes_of_tracks(model: RoomModel, tracks: list[TrackInfo], expected: list[str]) -> None:
    events = model.participants_updated([person("ada", "", 4, *tracks)], NOW)
    assert names(events) == expected
    for event in events:
        assert isinstance(event, TrackMuted | TrackUpdated | TrackPublished | TrackUnpublished)
        assert event.participant is model.participants["ada"]


def test_a_participant_that_changes_and_leaves(model: RoomModel) -> None:
    changed = person("ada", "", 4, camera(), name="Ada", metadata="x")
    assert names(model.participants_updated([changed], NOW)) == ["ParticipantUpdated"]
    assert names(model.participants_updated([changed], NOW)) == []
    left = person("ada", "", 5, state=GONE, disconnect_reason=DisconnectReason.CLIENT_INITIATED)
    events = model.participants_updated([left], NOW)
    assert names(events) == ["TrackUnpublished", "ParticipantLeft"]
    assert isinstance(events[1], ParticipantLeft)
    assert (events[1].reason, events[1].participant.name) == ("client_initiated", "Ada")
    assert names(model.participants_updated([left], NOW)) == []
    assert not model.participants


def test_older_news_are_passed_over(model: RoomModel) -> None:
    assert names(model.participants_updated([person("ada", "", 2)], NOW)) == []
    assert "TR_cam" in model.participants["ada"].tracks


def test_an_identity_that_comes_back_is_somebody_else(model: RoomModel) -> None:
    events = model.participants_updated([person("ada", "PA_2", 1, camera("TR_2"))], NOW)
    assert names(events) == ["TrackUnpublished", "ParticipantLeft", "ParticipantJoined", "TrackPublished"]
    # The farewell of the old one comes late.
    assert names(model.participants_updated([person("ada", "PA_ada", 9, state=GONE)], NOW)) == []
    assert model.participants["ada"].sid == "PA_2"


def test_we_and_hidden_participants_are_not_among_the_others(model: RoomModel) -> None:
    hidden = person("EG_other", permission=ParticipantPermission(hidden=True))
    assert names(model.participants_updated([hidden], NOW)) == []
    ours = person("EG_me", "PA_me", 2, metadata='{"layout": "grid"}')
    (event,) = model.participants_updated([ours], NOW)
    assert isinstance(event, OwnMetadataChanged)
    assert event.metadata == model.own_metadata == '{"layout": "grid"}'
    assert names(model.participants_updated([ours, person("EG_me", "PA_me", 3, state=GONE)], NOW)) == []
    # Another session under our identity, for instance one of ours that the server has not forgotten yet.
    assert names(model.participants_updated([person("EG_me", "PA_old", 9, metadata="old")], NOW)) == []
    assert list(model.participants) == ["ada"]


def test_after_a_full_reconnect_only_differences_are_told(model: RoomModel) -> None:
    model.participants_updated([person("bob", "", 8)], NOW)
    # The server counts versions anew after a restart.
    again = join(person("ada", "", 1, camera(muted=True)), person("cleo"), own_sid="PA_me2", metadata="new")
    events = model.joined(again, NOW)
    expected = ["OwnMetadataChanged", "ParticipantLeft", "TrackMuted", "ParticipantJoined"]
    assert names(events) == expected
    assert isinstance(events[1], ParticipantLeft)
    assert (events[1].participant.identity, events[1].reason) == ("bob", "")
    assert model.own_sid == "PA_me2"


def test_a_move_to_another_room(model: RoomModel) -> None:
    moved = RoomMovedResponse(
        room=RoomInfo(name="hall", sid="RM_2"),
        participant=ParticipantInfo(sid="PA_me", identity="EG_me"),
        other_participants=[person("dora")],
    )
    events = model.joined(moved, NOW)
    assert names(events) == ["RoomUpdated", "TrackUnpublished", "ParticipantLeft", "ParticipantJoined"]
    assert (model.name, model.sid, list(model.participants)) == ("hall", "RM_2", ["dora"])


def test_room_updates(model: RoomModel) -> None:
    assert model.room_updated(RoomInfo(name="stage", sid="RM_1", metadata="m", num_participants=4), NOW) == []
    (event,) = model.room_updated(RoomInfo(name="stage", sid="RM_1", metadata="n"), NOW)
    assert event == RoomUpdated(NOW, "RM_1", "stage", "n")


def test_speakers(model: RoomModel) -> None:
    said = SpeakerUpdate(
        speakers=[
            SpeakerInfo(sid="PA_ada", level=0.5, active=True),
            SpeakerInfo(sid="PA_me", level=1, active=True),
            SpeakerInfo(sid="PA_unknown", active=False),
        ]
    )
    (event,) = model.speakers_changed(said, NOW)
    assert isinstance(event, SpeakersChanged)
    assert [(s.identity, s.level, s.active) for s in event.speakers] == [("ada", 0.5, True)]
    assert model.speakers_changed(SpeakerUpdate(), NOW) == []


def test_descriptions_cannot_be_changed_from_outside(model: RoomModel) -> None:
    participant = model.participants["ada"]
    with pytest.raises(TypeError):
        participant.tracks["TR_x"] = participant.tracks["TR_cam"]  # type: ignore[index]
    model.participants_updated([person("ada", "", 4)], NOW)
    assert "TR_cam" in participant.tracks, "an event's participant stays as it was"
    (update,) = model.participants_updated([person("ada", "", 5, attributes={"a": "b"})], NOW)
    assert isinstance(update, ParticipantUpdated)
