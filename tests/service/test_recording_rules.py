"""Rules against webhook events, and what is wrong with rules."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import egress as pb
from livekit.protocol import models
from livekit.protocol.webhook import WebhookEvent

from pyegress.errors import InvalidRequest
from pyegress.service.recording_rules import read_rules, starts_of

pytestmark = pytest.mark.unit

FILE = {"file_outputs": [{"filepath": "rec/{room_name}-{time}.mp4"}]}
TRACK_FILE = {"file": {"filepath": "rec/{track_id}"}}
AUDIO, VIDEO = models.TrackType.AUDIO, models.TrackType.VIDEO


def rule(record: str = "room", request: Any = None, **more: Any) -> dict[str, Any]:
    return {"record": record, "request": request or (TRACK_FILE if record == "track" else FILE), **more}


def event(
    name: str,
    room: str = "meeting-1",
    identity: str = "ada",
    track: str = "TR_1",
    kind: models.TrackType = AUDIO,
) -> WebhookEvent:
    made = WebhookEvent(event=name)
    made.room.name, made.room.sid = room, f"RM_{room}"
    if name != "room_started":
        made.participant.identity, made.participant.sid = identity, f"PA_{identity}"
    if name == "track_published":
        made.track.sid, made.track.type = track, kind
    return made


def requests(rules: list[dict[str, Any]], *events: WebhookEvent) -> list[Any]:
    return [start.request for e in events for start in starts_of(read_rules(rules), e)]


def test_a_room_is_recorded_when_it_begins() -> None:
    (start,) = starts_of(read_rules([rule(rooms="meeting-*")]), event("room_started"))
    assert isinstance(start.request, pb.RoomCompositeEgressRequest)
    assert start.request.room_name == "meeting-1"
    assert start.room_id == "RM_meeting-1"
    assert start.request.file_outputs[0].filepath == "rec/{room_name}-{time}.mp4"
    assert start.egress_id.startswith("EG_")


def test_a_room_that_was_missed_is_the_same_egress_at_the_next_event() -> None:
    rules = read_rules([rule()])
    events = [event("room_started"), event("participant_joined"), event("track_published"), event("participant_joined")]
    assert len({start.egress_id for e in events for start in starts_of(rules, e)}) == 1


def test_participants_and_tracks() -> None:
    (request,) = requests([rule("participant", participants="a*")], event("participant_joined"))
    assert isinstance(request, pb.ParticipantEgressRequest)
    assert (request.room_name, request.identity) == ("meeting-1", "ada")
    assert requests([rule("participant", participants="b*")], event("participant_joined")) == []
    published = [event("track_published", track="TR_a"), event("track_published", track="TR_v", kind=VIDEO)]
    assert [r.track_id for r in requests([rule("track")], *published)] == ["TR_a", "TR_v"]
    assert [r.track_id for r in requests([rule("track", tracks="video")], *published)] == ["TR_v"]
    assert requests([rule("track")], event("room_started"), event("participant_joined")) == []


@pytest.mark.parametrize("name", ["room_finished", "participant_left", "track_unpublished", "egress_started", ""])
def test_other_events_start_nothing(name: str) -> None:
    assert requests([rule(), rule("participant"), rule("track")], event(name)) == []


def test_other_rooms_start_nothing_and_case_counts() -> None:
    assert requests([rule(rooms="Meeting-*")], event("room_started")) == []
    assert requests([rule(rooms="meeting-?")], event("room_started")) != []
    assert requests([rule(rooms="meeting-[23]")], event("room_started")) == []


def test_recorders_are_not_recorded() -> None:
    joined = event("participant_joined")
    joined.participant.kind = models.ParticipantInfo.Kind.EGRESS
    hidden = event("participant_joined")
    hidden.participant.permission.hidden = True
    assert requests([rule(), rule("participant")], joined, hidden) == []


def test_events_without_ids_start_nothing() -> None:
    nameless = event("participant_joined")
    nameless.participant.sid = ""
    roomless = event("room_started")
    roomless.ClearField("room")
    assert requests([rule("participant")], nameless) == []
    assert requests([rule()], roomless) == []


def test_every_rule_room_and_participant_is_an_egress_of_its_own() -> None:
    rules = read_rules([rule(), rule(request={**FILE, "layout": "speaker"}), rule("participant")])
    again = read_rules([rule("participant"), rule(request={**FILE, "layout": "speaker"}), rule()])

    def ids(events: list[WebhookEvent]) -> set[str]:
        return {start.egress_id for e in events for start in starts_of(rules, e)}

    joined = [event("participant_joined", identity=i, room=r) for i in ("ada", "bob") for r in ("meeting-1", "m")]
    assert len(ids(joined)) == 2 * 2 + 4
    # The order of rules does not matter, so that a restart with another configuration starts nothing twice.
    assert ids(joined) == {start.egress_id for e in joined for start in starts_of(again, e)}


def test_a_rule_is_not_changed_by_its_egresses() -> None:
    rules = read_rules([rule()])
    first = next(starts_of(rules, event("room_started")))
    second = next(starts_of(rules, event("room_started", room="other")))
    assert isinstance(first.request, pb.RoomCompositeEgressRequest)
    assert first.request.room_name == "meeting-1"
    assert isinstance(second.request, pb.RoomCompositeEgressRequest)
    assert second.request.room_name == "other"


@pytest.mark.parametrize(
    ("rules", "field", "text"),
    [
        ({}, "auto_egress", "is no list"),
        (["room"], "auto_egress[0]", "is no rule"),
        ([rule(room="x")], "auto_egress[0].room", "Did you mean rooms"),
        ([rule("rooms")], "auto_egress[0].record", "room, participant, track"),
        ([rule(rooms=5)], "auto_egress[0].rooms", "must be text"),
        ([rule("track", tracks="sound")], "auto_egress[0].tracks", "all, audio, video"),
        ([rule(tracks="audio")], "auto_egress[0].tracks", "for tracks only"),
        ([rule(participants="a")], "auto_egress[0].participants", "not for rooms"),
        ([rule(), {"record": "room"}], "auto_egress[1].request", "is missing"),
        ([rule(request={"layout": "grid"})], "auto_egress[0].request", "output"),
        ([rule(request={**FILE, "room_name": "x"})], "auto_egress[0].request.room_name", "comes from the event"),
        ([rule(request={**FILE, "layuot": "x"})], "auto_egress[0].request", "Did you mean layout"),
        ([rule(request={"file_outputs": [{"filepath": "a.mp4"}]})], "auto_egress[0].request", "again and again"),
        ([rule("track", {"file": {"filepath": "a-{time}"}})], "auto_egress[0].request", "{track_id}"),
        ([rule("track", {"file": 5})], "auto_egress[0].request", "must be an object"),
    ],
)
def test_wrong_rules_name_their_key(rules: object, field: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_rules(rules)
    assert refused.value.field == field
    assert text in str(refused.value)


def test_automatic_names_are_fine() -> None:
    read_rules([rule(request={"file_outputs": [{"filepath": "rec/"}]}), rule("track", {"file": {}})])
    read_rules([rule(request={"file_outputs": [{}]})])


V2 = {"outputs": [{"file": {"filepath": "rec/{room_name}-{time}"}}]}


def test_rooms_by_v2() -> None:
    (request,) = requests([rule(request=V2 | {"preset": "H264_1080P_30"})], event("room_started"))
    assert isinstance(request, pb.StartEgressRequest)
    assert (request.room_name, request.WhichOneof("source")) == ("meeting-1", "template")
    assert request.preset == pb.EncodingOptionsPreset.H264_1080P_30
    (speaker,) = requests([rule(request=V2 | {"template": {"layout": "speaker"}})], event("room_started"))
    assert speaker.template.layout == "speaker"
    (mix,) = requests([rule(request=V2 | {"media": {"audio": {"capture_all": True}}})], event("room_started"))
    assert mix.media.audio.capture_all


def test_participants_by_v2() -> None:
    (request,) = requests([rule("participant", V2)], event("participant_joined"))
    assert request.media.participant_video.identity == "ada"
    assert [route.participant_identity for route in request.media.audio.routes] == ["ada"]
    screen = {
        "media": {
            "participant_video": {"prefer_screen_share": True},
            "audio": {"routes": [{"channel": "AUDIO_CHANNEL_LEFT"}]},
        }
    }
    (request,) = requests([rule("participant", V2 | screen)], event("participant_joined"))
    assert request.media.participant_video.prefer_screen_share
    assert request.media.participant_video.identity == "ada"
    assert [(route.participant_identity, route.channel) for route in request.media.audio.routes] == [("ada", 1)]


def test_tracks_by_v2() -> None:
    named = {"outputs": [{"file": {"filepath": "{track_id}"}}], "preset": "PASSTHROUGH"}
    events = [event("track_published", track="TR_a"), event("track_published", track="TR_v", kind=VIDEO)]
    sound, picture = requests([rule("track", named)], *events)
    assert (sound.media.audio.routes[0].track_id, sound.media.video_track_id) == ("TR_a", "")
    assert (picture.media.video_track_id, len(picture.media.audio.routes)) == ("TR_v", 0)


@pytest.mark.parametrize(
    ("record", "request_", "key", "said"),
    [
        ("room", V2 | {"web": {"url": "https://a"}}, "auto_egress[0].request.web", "no source"),
        ("participant", V2 | {"template": {}}, "auto_egress[0].request.template", "no source"),
        (
            "participant",
            V2 | {"media": {"participant_video": {"identity": "bob"}}},
            "auto_egress[0].request.media.participant_video.identity",
            "comes from the event",
        ),
        ("track", V2 | {"room_name": "r"}, "auto_egress[0].request.room_name", "comes from the event"),
        ("room", {"outputs": [{"file": {"filepath": "a.mp4"}}]}, "auto_egress[0].request", "again and again"),
        ("room", {"outputs": []}, "auto_egress[0].request", "output"),
    ],
)
def test_v2_rules_that_cannot_be(record: str, request_: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refused:
        read_rules([rule(record, request_)])
    assert refused.value.field == key
