"""Scenarios in simulated time: who comes and goes, and when the recording is over because of it."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.plan.selection import EveryTrack, OneTrack, ParticipantTracks, Selection, TrackPair
from pyegress.plan.sources import MediaSource, RoomSource, VideoSelection
from pyegress.worker.ending import REPUBLISH_GRACE, EndPolicy

pytestmark = pytest.mark.unit

ALICE = ParticipantTracks("alice")
CAMERA = OneTrack(identity="alice", source="camera")


def at(seconds: float) -> Monotonic:
    return Monotonic(1000.0 + seconds)


def policy(selection: Selection, grace: float = 5.0) -> EndPolicy:
    return EndPolicy(selection, grace)


def recording(selection: Selection, *tracks: tuple[str, str], grace: float = 5.0) -> EndPolicy:
    """Alice is there and these tracks (sid, source) are recorded."""
    ending = policy(selection, grace)
    ending.participant_there("alice")
    for sid, source in tracks:
        ending.track_taken(sid, "alice", source)
    return ending


def test_nothing_is_over_before_it_began() -> None:
    for selection in (ALICE, CAMERA, TrackPair("A", "V"), EveryTrack()):
        assert policy(selection).over(at(3600)) is None


def test_a_track_recording_ends_with_its_track() -> None:
    ending = recording(CAMERA, ("TR_1", "camera"))
    assert ending.over(at(10)) is None
    ending.track_gone("TR_1", at(10))
    assert ending.over(at(10)) == "the track was unpublished"


def test_a_track_recording_cares_for_no_other_track() -> None:
    ending = recording(CAMERA, ("TR_1", "camera"))
    ending.track_gone("TR_2", at(10))
    ending.participant_left("bob", at(10))
    assert ending.over(at(10)) is None


def test_a_pair_ends_with_its_last_track() -> None:
    ending = recording(TrackPair("A", "V"), ("A", "microphone"), ("V", "camera"))
    ending.track_gone("V", at(10))
    assert ending.over(at(100)) is None
    ending.track_gone("A", at(101))
    assert ending.over(at(101)) is not None


def test_a_participant_recording_survives_its_tracks() -> None:
    ending = recording(ALICE, ("V", "camera"), ("A", "microphone"))
    ending.track_gone("V", at(10))
    ending.track_gone("A", at(10))
    assert ending.over(at(600)) is None
    ending.track_taken("V2", "alice", "camera")
    assert ending.over(at(700)) is None


def test_a_participant_who_leaves_ends_it_after_the_grace() -> None:
    ending = recording(ALICE, ("V", "camera"))
    ending.track_gone("V", at(10))
    ending.participant_left("alice", at(10))
    assert ending.over(at(14.9)) is None
    assert ending.over(at(15)) == "participant 'alice' left"


def test_without_a_grace_it_ends_at_once() -> None:
    ending = recording(ALICE, ("V", "camera"), grace=0.0)
    ending.participant_left("alice", at(10))
    assert ending.over(at(10)) is not None


def test_a_participant_who_is_back_within_the_grace_has_not_left() -> None:
    ending = recording(ALICE, ("V", "camera"))
    ending.participant_left("alice", at(10))
    ending.participant_there("alice")
    assert ending.over(at(100)) is None
    ending.participant_left("alice", at(200))
    assert ending.over(at(204)) is None
    assert ending.over(at(206)) is not None


def test_somebody_else_who_leaves_changes_nothing() -> None:
    ending = recording(ALICE, ("V", "camera"))
    ending.participant_left("bob", at(10))
    assert ending.over(at(100)) is None


def test_every_track_ends_only_with_the_room() -> None:
    ending = recording(EveryTrack(), ("V", "camera"))
    ending.track_gone("V", at(10))
    ending.participant_left("alice", at(10))
    assert ending.over(at(1000)) is None


@pytest.mark.parametrize("selection", [CAMERA, OneTrack(track_id="V"), TrackPair(video_track_id="V")], ids=str)
def test_a_track_that_comes_back_under_a_new_id_after_a_restart_goes_on(selection: Selection) -> None:
    ending = recording(selection, ("V", "camera"))
    ending.connection_lost()
    assert ending.reconnecting
    ending.track_gone("V", at(12))
    ending.participant_left("alice", at(12))
    assert ending.over(at(60)) is None
    ending.connection_back(at(60))
    assert not ending.reconnecting
    assert ending.over(at(60)) is None
    assert ending.replaces_lost("alice", "camera")
    assert not ending.replaces_lost("alice", "microphone")
    assert not ending.replaces_lost("bob", "camera")
    ending.track_taken("V2", "alice", "camera")
    assert not ending.replaces_lost("alice", "camera")
    assert ending.over(at(600)) is None
    ending.track_gone("V2", at(600))
    assert ending.over(at(600)) == "the track was unpublished"


def test_a_track_that_never_comes_back_after_a_restart_ends_it() -> None:
    ending = recording(CAMERA, ("V", "camera"))
    ending.connection_lost()
    ending.track_gone("V", at(12))
    ending.connection_back(at(20))
    assert ending.over(at(20 + REPUBLISH_GRACE - 0.1)) is None
    assert ending.over(at(20 + REPUBLISH_GRACE)) == "the track was unpublished"


def test_of_a_pair_one_that_comes_back_is_enough() -> None:
    ending = recording(TrackPair("A", "V"), ("A", "microphone"), ("V", "camera"))
    ending.connection_lost()
    ending.track_gone("A", at(12))
    ending.track_gone("V", at(12))
    ending.connection_back(at(20))
    ending.track_taken("A2", "alice", "microphone")
    assert ending.over(at(600)) is None
    ending.track_gone("A2", at(600))
    assert ending.over(at(600)) is not None


def test_a_participant_who_comes_back_after_a_restart_goes_on() -> None:
    ending = recording(ALICE, ("V", "camera"))
    ending.connection_lost()
    ending.participant_left("alice", at(12))
    assert ending.over(at(100)) is None
    ending.connection_back(at(100))
    assert ending.over(at(100 + REPUBLISH_GRACE - 0.1)) is None
    ending.participant_there("alice")
    assert ending.over(at(1000)) is None


def test_a_participant_who_never_comes_back_after_a_restart_ends_it() -> None:
    ending = recording(ALICE, ("V", "camera"))
    ending.connection_lost()
    ending.participant_left("alice", at(12))
    ending.connection_back(at(13))
    assert ending.over(at(13 + REPUBLISH_GRACE)) == "participant 'alice' left"


def test_a_resume_in_which_nothing_vanished_gives_no_grace() -> None:
    ending = recording(CAMERA, ("V", "camera"))
    ending.connection_lost()
    ending.connection_back(at(20))
    ending.track_gone("V", at(21))
    assert ending.over(at(21)) is not None


def test_since_when_a_participant_is_gone() -> None:
    ending = recording(ALICE, ("V", "camera"))
    assert ending.gone_at is None
    ending.track_gone("V", at(8))
    assert ending.gone_at is None, "a participant without tracks is there"
    ending.participant_left("alice", at(10))
    assert ending.over(at(15)) is not None
    assert ending.gone_at == at(10), "when, not when that was certain"
    ending.participant_there("alice")
    assert ending.gone_at is None


def test_since_when_tracks_are_gone() -> None:
    ending = recording(TrackPair("A", "V"), ("A", "microphone"), ("V", "camera"))
    ending.track_gone("A", at(10))
    assert ending.gone_at is None
    ending.participant_left("alice", at(11))
    assert ending.gone_at is None
    ending.track_gone("V", at(12))
    ending.track_gone("X", at(20))
    assert ending.gone_at == at(12), "the last of ours"


def test_what_was_lost_with_the_server_is_gone_since_then() -> None:
    ending = recording(CAMERA, ("V", "camera"))
    ending.connection_lost()
    ending.track_gone("V", at(12))
    ending.connection_back(at(20))
    assert ending.over(at(20 + REPUBLISH_GRACE)) is not None
    assert ending.gone_at == at(12)


def test_rooms_and_chosen_media_end_only_with_the_room() -> None:
    for source in (RoomSource(), MediaSource(VideoSelection(identity="alice"))):
        ending = EndPolicy(source, 5.0)
        ending.participant_there("alice")
        ending.track_taken("V", "alice", "camera")
        ending.track_gone("V", at(10))
        ending.participant_left("alice", at(10))
        assert ending.over(at(1000)) is None
