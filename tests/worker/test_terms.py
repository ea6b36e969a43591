from __future__ import annotations

from dataclasses import replace

import pytest
from livekit.protocol import egress as pb

from pyegress.codecs import Codec
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import Waits
from pyegress.plan.selection import EveryTrack, ParticipantTracks, TrackPair
from pyegress.room.events import Source
from pyegress.worker.terms import FILE_LATENCY, LIVE_LATENCY, terms_of
from tests.plan.requests import planned, room, v2, v2_file
from tests.worker.encoding_plans import CONNECTION, pair_plan, participant_plan, room_plan
from tests.worker.playing import participant, publication

pytestmark = pytest.mark.unit

MIC = publication("TR_A", Codec.OPUS, Source.MICROPHONE)
CAMERA = publication("TR_V", Codec.VP8)
WAITS = Waits(tracks=1.0, participant=2.0, grace=3.0, reconnect=4.0, room=5.0)


def test_a_room_is_waited_for_and_its_people_are_not() -> None:
    terms = terms_of(replace(room_plan(), waits=WAITS, max_duration=60.0, max_file_size=1000))
    assert (terms.wait_room, terms.wait) == (5.0, None)
    assert terms.follows_room
    assert not terms.copies
    assert not terms.many_files
    assert (terms.duration, terms.max_file_size, terms.grace, terms.reconnect_window) == (60.0, 1000, 3.0, 4.0)


def test_who_waits_for_what() -> None:
    assert terms_of(replace(participant_plan(), waits=WAITS)).wait == 2.0
    assert terms_of(replace(pair_plan(), waits=WAITS)).wait == 1.0
    media = pb.MediaSource(audio=pb.AudioConfig(capture_all=True))
    terms = terms_of(replace(planned(v2(v2_file("a.ogg"), media=media)), waits=WAITS))
    assert terms.wait is None
    assert terms.follows_room


def test_only_the_kinds_that_are_recorded_are_taken() -> None:
    alice = participant("alice", MIC, CAMERA)
    for plan, taken in (
        (pair_plan(), [True, True]),
        (pair_plan(video=""), [True, False]),
        (participant_plan(output="x.mp3"), [True, False]),
        (room_plan(), [True, True]),
    ):
        assert [terms_of(plan).choice.takes(alice, track) for track in (MIC, CAMERA)] == taken, plan


def test_who_watches_live_waits_for_fewer_packets() -> None:
    stream = room(stream_outputs=[pb.StreamOutput(urls=["rtmp://host/app/key"])])
    assert terms_of(planned(stream)).latency == LIVE_LATENCY
    assert terms_of(room_plan()).latency == FILE_LATENCY


def test_copies() -> None:
    plan = CopyPlan(CONNECTION, ParticipantTracks("alice"), "x", duration=9.0, wait=None, grace=2.0, latency=0.7)
    terms = terms_of(plan)
    assert (terms.wait, terms.wait_room, terms.duration, terms.grace, terms.latency) == (None, None, 9.0, 2.0, 0.7)
    assert terms.copies
    assert not terms.follows_room
    everything = terms_of(replace(plan, selection=EveryTrack()))
    assert everything.many_files
    assert everything.follows_room


def test_a_page_is_not_joined() -> None:
    plan = replace(room_plan(), connection=None)
    with pytest.raises(ValueError, match="joins no room"):
        terms_of(plan)


def test_what_is_waited_for_in_words() -> None:
    assert str(terms_of(room_plan()).choice) == "somebody to publish audio or video"
    assert str(terms_of(pair_plan()).choice) == str(TrackPair("TR_A", "TR_V"))
