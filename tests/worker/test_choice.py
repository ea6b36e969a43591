"""Which publications are taken, and who keeps a room from being empty."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.errors import InvalidRequest
from pyegress.plan.selection import TrackPair
from pyegress.plan.sources import AudioSelection, MediaSource, RoomSource, VideoSelection
from pyegress.room.events import Source
from pyegress.worker.choice import choice_of
from pyegress.worker.presence import Presence
from tests.worker.playing import participant, publication

pytestmark = pytest.mark.unit

CAMERA = publication("TR_V", Codec.VP8)
SCREEN = publication("TR_S", Codec.VP8, Source.SCREEN_SHARE)
MIC = publication("TR_A", Codec.OPUS, Source.MICROPHONE)
ALICE, BOB = participant("alice", CAMERA, MIC), participant("bob", CAMERA)
BOTH = frozenset(Kind)


def test_a_room_takes_everything_of_the_kinds_that_are_recorded() -> None:
    assert all(choice_of(RoomSource(), BOTH).takes(ALICE, track) for track in (CAMERA, SCREEN, MIC))
    sound = choice_of(RoomSource(), frozenset({Kind.AUDIO}))
    assert [sound.takes(ALICE, track) for track in (CAMERA, SCREEN, MIC)] == [False, False, True]


@pytest.mark.parametrize(
    ("pair", "field"), [(TrackPair("TR_V", "TR_A"), "audio_track_id"), (TrackPair("", "TR_A"), "video_track_id")]
)
def test_a_track_of_the_wrong_kind_is_named(pair: TrackPair, field: str) -> None:
    wrong = CAMERA if field == "audio_track_id" else MIC
    with pytest.raises(InvalidRequest, match=f"given as {field}") as raised:
        choice_of(pair, BOTH).takes(ALICE, wrong)
    assert raised.value.field == field


def test_chosen_media_takes_what_may_be_shown_and_heard() -> None:
    choice = choice_of(MediaSource(VideoSelection(identity="alice", prefer_screen_share=True), AudioSelection()), BOTH)
    assert [choice.takes(ALICE, track) for track in (CAMERA, SCREEN, MIC)] == [True, True, False]
    assert not choice.takes(BOB, CAMERA)


def test_a_room_is_empty_when_the_last_who_counts_has_left() -> None:
    presence, agent = Presence(), replace(participant("robot"), kind="agent")
    assert not presence.there(ALICE)
    assert not presence.there(agent)
    assert presence.left(ALICE, Monotonic(7.0))
    assert presence.empty_since == 7.0
    assert presence.there(BOB)
    assert presence.empty_since is None
    assert not presence.left(agent, Monotonic(9.0))
