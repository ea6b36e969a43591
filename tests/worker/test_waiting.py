from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.errors import Code, Fault
from pyegress.plan.copy_plan import Connection, CopyPlan
from pyegress.plan.selection import EveryTrack, OneTrack, ParticipantTracks, Selection, TrackPair
from pyegress.room.events import Source
from pyegress.worker.feed import Feed
from pyegress.worker.terms import Terms, terms_of
from pyegress.worker.waiting import describe_participant, describe_room, missing_error, waiting_text
from tests.worker.playing import Files, at, participant, publication

pytestmark = pytest.mark.unit

MIC = publication("TR_A", Codec.OPUS, Source.MICROPHONE, muted=True)
CAMERA = publication("TR_V", Codec.VP8)


def plan(selection: Selection) -> Terms:
    return terms_of(CopyPlan(Connection(url="ws://h", room="standup", token="a.b.c"), selection, "out"))


@pytest.fixture
async def feeds(tmp_path: object) -> list[Feed]:
    target = Files(tmp_path).parts()  # type: ignore[arg-type]
    alice = participant("alice", MIC, CAMERA)
    return [Feed(alice, track, target, rank=0, now=at(0)) for track in (MIC, CAMERA)]


def test_a_participant_in_words() -> None:
    assert describe_participant(participant("bob")) == "bob: publishes nothing"
    assert (
        describe_participant(participant("alice", CAMERA, MIC))
        == "alice: camera TR_V (VP8), microphone TR_A (Opus, muted)"
    )
    assert "video/flip" in describe_participant(participant("eve", publication("TR_X", None)))


def test_a_full_room_is_cut_short() -> None:
    lines = describe_room({f"p{n}": participant(f"p{n}") for n in range(25)})
    assert len(lines) == 21
    assert lines[-1] == "and 5 more"


async def test_what_a_recording_waits_for(feeds: list[Feed]) -> None:
    one = plan(OneTrack(identity="alice", source="camera"))
    assert waiting_text(one, [], media_connected=True) == "the camera of 'alice'"
    assert waiting_text(one, feeds, media_connected=False) == "a media path to the server"
    assert waiting_text(one, feeds, media_connected=True) == "media from the camera of 'alice'"
    assert waiting_text(one, feeds[:1], media_connected=True) == "the microphone of 'alice' to be unmuted"


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (OneTrack(track_id="TR_9"), "Track TR_9 was not published"),
        (OneTrack(identity="bob", source="camera"), "Participant 'bob' not found"),
        (OneTrack(identity="alice", source="screen_share"), "Participant 'alice' published no screen_share"),
        (ParticipantTracks("bob"), "Participant 'bob' not found"),
        (ParticipantTracks("alice", screen_share=True), "published no screen_share or screen_share_audio"),
        (TrackPair("TR_8", "TR_9"), "No video track TR_9 and audio track TR_8 was published"),
        (EveryTrack(), "Nobody published anything"),
    ],
    ids=str,
)
def test_what_is_missing_and_what_is_there_instead(selection: Selection, message: str) -> None:
    error = missing_error(plan(selection), "standup", {"alice": participant("alice", CAMERA)}, [], 30.0)
    assert message in error.message
    assert "in room 'standup' within 30 s; in the room: alice: camera TR_V (VP8)" in error.message
    assert "--wait" in error.remedy
    assert (error.code, error.fault) == (Code.NOT_FOUND, Fault.CALLER)


def test_an_empty_room_says_so() -> None:
    assert "in the room: nobody" in missing_error(plan(EveryTrack()), "r", {}, [], 5.0).message


async def test_media_that_does_not_come(feeds: list[Feed]) -> None:
    one = plan(ParticipantTracks("alice"))
    error = missing_error(one, "standup", {}, feeds, 5.0)
    assert error.code is Code.UNAVAILABLE
    assert "within 5 s from the camera of 'alice', the microphone of 'alice'" in error.message
    assert "UDP" in error.remedy
    told = missing_error(one, "standup", {}, feeds, 5.0, hindrance="The publisher does not allow it")
    assert told.remedy == "The publisher does not allow it"
    blocked = missing_error(one, "standup", {}, feeds, 5.0, media_connected=False)
    assert "no media path" in blocked.message
    assert "firewall" in blocked.remedy
