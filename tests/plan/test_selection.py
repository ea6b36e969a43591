from __future__ import annotations

from typing import Any

import pytest

from pyegress.errors import InvalidRequest
from pyegress.plan.selection import EveryTrack, OneTrack, ParticipantTracks, Selection, TrackPair

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("kind", "arguments", "field"),
    [
        (OneTrack, {}, "track_id"),
        (OneTrack, {"identity": "alice"}, "track_id"),
        (OneTrack, {"source": "camera"}, "track_id"),
        (OneTrack, {"track_id": "TR_1", "identity": "alice"}, "track_id"),
        (OneTrack, {"track_id": "TR_1", "source": "camera"}, "track_id"),
        (OneTrack, {"identity": "alice", "source": "webcam"}, "source"),
        (ParticipantTracks, {"identity": ""}, "identity"),
        (TrackPair, {}, "audio_track_id or video_track_id"),
        (TrackPair, {"audio_track_id": "TR_1", "video_track_id": "TR_1"}, "audio_track_id"),
    ],
)
def test_what_makes_no_sense_is_refused(kind: type[Selection], arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        kind(**arguments)
    assert caught.value.field == field
    assert caught.value.remedy


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"webcam.*camera, microphone, screen_share, screen_share_audio"):
        OneTrack(identity="alice", source="webcam")


@pytest.mark.parametrize(
    ("selection", "identity", "sid", "source", "taken"),
    [
        (OneTrack(track_id="TR_1"), "alice", "TR_1", "camera", True),
        (OneTrack(track_id="TR_1"), "alice", "TR_2", "camera", False),
        (OneTrack(identity="alice", source="camera"), "alice", "TR_9", "camera", True),
        (OneTrack(identity="alice", source="camera"), "bob", "TR_9", "camera", False),
        (OneTrack(identity="alice", source="camera"), "alice", "TR_9", "screen_share", False),
        (ParticipantTracks("alice"), "alice", "TR_1", "microphone", True),
        (ParticipantTracks("alice"), "alice", "TR_1", "screen_share_audio", False),
        (ParticipantTracks("alice", screen_share=True), "alice", "TR_1", "screen_share_audio", True),
        (ParticipantTracks("alice", screen_share=True), "alice", "TR_1", "camera", False),
        (ParticipantTracks("alice"), "bob", "TR_1", "camera", False),
        (TrackPair("TR_A", "TR_V"), "bob", "TR_V", "unknown", True),
        (TrackPair("TR_A", "TR_V"), "bob", "TR_X", "camera", False),
        (TrackPair(video_track_id="TR_V"), "bob", "", "camera", False),
        (EveryTrack(), "bob", "TR_X", "unknown", True),
    ],
)
def test_what_is_taken(selection: Selection, identity: str, sid: str, source: str, taken: bool) -> None:
    assert selection.takes(identity=identity, sid=sid, source=source) is taken


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (OneTrack(track_id="TR_1"), "track TR_1"),
        (OneTrack(identity="alice", source="camera"), "the camera of 'alice'"),
        (ParticipantTracks("alice"), "camera and microphone of 'alice'"),
        (ParticipantTracks("alice", screen_share=True), "the screen share of 'alice'"),
        (TrackPair("TR_A", "TR_V"), "video track TR_V and audio track TR_A"),
        (TrackPair("TR_A"), "audio track TR_A"),
        (EveryTrack(), "every track of everybody"),
    ],
)
def test_a_selection_says_what_it_waits_for(selection: Selection, words: str) -> None:
    assert str(selection) == words
