"""What the events of a room make of the picture: who is drawn where, and from when on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.errors import InvalidRequest
from pyegress.layouts.arrangement import Picture
from pyegress.layouts.geometry import Size
from pyegress.layouts.placement import Fit
from pyegress.room.events import (
    OwnMetadataChanged,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    Source,
    Speaker,
    SpeakersChanged,
    TrackMuted,
    TrackPublication,
    TrackUnmuted,
    TrackUpdated,
)
from pyegress.worker.feed import Feed
from pyegress.worker.stage import RoomStage, SingleStage, Stage
from tests.layouts.scenes import corners, keys, tile
from tests.worker.encoding_plans import feed_of
from tests.worker.playing import at, participant, publication

pytestmark = pytest.mark.unit

HD = Size(1280, 720)


def camera(who: str, **changes: object) -> TrackPublication:
    return replace(publication(f"C_{who}", Codec.VP8), size=(640, 360), **changes)  # type: ignore[arg-type]


def screen(who: str) -> TrackPublication:
    return replace(publication(f"S_{who}", Codec.VP8, Source.SCREEN_SHARE), size=(1920, 1080))


def person(who: str, *tracks: TrackPublication, joined: float = 0.0) -> Participant:
    return replace(participant(who, *tracks), joined_at=Wall(1e9 + joined))


class Watched:
    """A stage, and what is drawn at moments that never go back."""

    def __init__(self, layout: str = "grid") -> None:
        self.warnings: list[str] = []
        self.stage = RoomStage(layout, HD, on_warning=self.warnings.append)

    def comes(self, who: Participant, seconds: float, *, received: bool = True) -> None:
        self.stage.on_event(ParticipantJoined(at(seconds), who))
        for track in who.tracks.values() if received else ():
            self.stage.added(feed_of(who, track), who, at(seconds))

    def drawn(self, seconds: float) -> list[str]:
        return keys(self.stage.director.arrangement(at(seconds), lambda sid: True))


ADA, BOB = person("ada", camera("ada")), person("bob", camera("bob"), joined=1.0)


def test_who_comes_and_goes() -> None:
    room = Watched()
    room.comes(ADA, 1.0)
    room.comes(BOB, 2.0)
    room.stage.on_event(ParticipantLeft(at(3.0), ADA))
    assert room.drawn(0.9) == []
    assert room.drawn(1.0) == ["C_ada"]
    assert room.drawn(2.9) == ["C_ada", "C_bob"]
    assert room.drawn(3.0) == ["C_bob"]


def test_only_what_is_received_is_drawn() -> None:
    room = Watched()
    room.comes(ADA, 1.0, received=False)
    assert room.drawn(1.0) == []
    feed = feed_of(ADA, ADA.tracks["C_ada"])
    room.stage.added(feed, ADA, at(2.0))
    assert room.drawn(2.0) == ["C_ada"]
    room.stage.removed(feed, at(3.0))
    assert room.drawn(3.0) == []


def test_a_track_that_is_received_before_its_publisher_is_announced() -> None:
    room = Watched()
    room.stage.added(feed_of(ADA, ADA.tracks["C_ada"]), ADA, at(1.0))
    assert room.drawn(1.0) == ["C_ada"]


def test_sound_is_not_drawn() -> None:
    room = Watched()
    mic = publication("TR_A", Codec.OPUS, Source.MICROPHONE)
    room.comes(person("ada", mic, camera("ada")), 1.0)
    assert room.drawn(1.0) == ["C_ada"]


def test_a_screen_share_makes_a_grid_a_speaker_layout() -> None:
    room = Watched()
    room.comes(ADA, 1.0)
    room.comes(person("bob", camera("bob"), screen("bob"), joined=1.0), 2.0)
    arrangement = room.stage.director.arrangement(at(2.0), lambda sid: True)
    assert arrangement.tiles
    assert tile(arrangement, "S_bob").rect.width > 1000
    assert tile(arrangement, "C_ada").rect.width < 250


def test_who_speaks_gets_the_main_place() -> None:
    room = Watched("speaker")
    room.comes(ADA, 1.0)
    room.comes(BOB, 1.0)
    room.stage.on_event(SpeakersChanged(at(2.0), (Speaker("bob", 0.7, True),)))

    def widest(seconds: float) -> str:
        arrangement = room.stage.director.arrangement(at(seconds), lambda sid: True)
        return max(arrangement.tiles, key=lambda one: one.rect.width).key

    assert widest(1.5) == "C_ada"
    assert widest(2.0) == "C_ada", "not at the first sound"
    assert widest(30.0) == "C_bob"
    room.stage.on_event(SpeakersChanged(at(40.0), (Speaker("bob", 0.0, False), Speaker("ada", 0.9, True))))
    assert [widest(seconds) for seconds in (40.0, 70.0)] == ["C_bob", "C_ada"]


def test_a_name_and_the_border_of_who_speaks() -> None:
    room = Watched("grid?names=1&speaking=1")
    room.comes(ADA, 1.0)
    room.stage.on_event(ParticipantUpdated(at(2.0), replace(ADA, name="Ada Lovelace")))
    room.stage.on_event(SpeakersChanged(at(3.0), (Speaker("ada", 0.7, True),)))

    def ada(seconds: float) -> tuple[str, bool]:
        found = tile(room.stage.director.arrangement(at(seconds), lambda sid: True), "C_ada")
        return (found.label.text if found.label else "", found.border is not None)

    assert ada(1.0) == ("Ada", False)
    assert ada(2.0) == ("Ada Lovelace", False)
    assert ada(5.0)[1]
    room.stage.on_event(SpeakersChanged(at(6.0), (Speaker("ada", 0.0, False),)))
    assert not ada(20.0)[1]


def test_a_mute_shows_no_picture_until_the_unmute() -> None:
    room = Watched()
    room.comes(ADA, 1.0)
    muted = camera("ada", muted=True)
    room.stage.on_event(TrackMuted(at(2.0), person("ada", muted), muted))
    room.stage.on_event(TrackUnmuted(at(3.0), ADA, camera("ada")))

    def picture(seconds: float) -> str | None:
        return tile(room.stage.director.arrangement(at(seconds), lambda sid: True), "C_ada").picture_sid

    assert [picture(seconds) for seconds in (1.0, 2.0, 3.0)] == ["C_ada", None, "C_ada"]


def test_the_size_of_a_picture_is_told_later() -> None:
    room = Watched()
    unsized = replace(camera("ada"), size=(0, 0))
    room.comes(person("ada", unsized), 1.0)
    room.comes(BOB, 1.0)
    upright = replace(unsized, size=(360, 640))
    before = tile(room.stage.director.arrangement(at(1.0), lambda sid: True), "C_ada")
    room.stage.on_event(TrackUpdated(at(2.0), person("ada", upright), upright))
    after = tile(room.stage.director.arrangement(at(2.0), lambda sid: True), "C_ada")
    assert (before.content, after.content) == (Picture("C_ada", Fit.COVER), Picture("C_ada", Fit.CONTAIN))


def test_update_layout() -> None:
    room = Watched()
    room.comes(ADA, 1.0)
    room.comes(BOB, 1.0)
    room.stage.on_event(OwnMetadataChanged(at(2.0), json.dumps({"layout": "single-speaker"})))
    assert len(room.drawn(1.9)) == 2
    assert len(room.drawn(2.0)) == 1
    arrangement = room.stage.director.arrangement(at(2.0), lambda sid: True)
    assert corners(arrangement.tiles[0]) == (0, 0, 1280, 720)
    assert room.warnings == []


@pytest.mark.parametrize("metadata", ["", "hello", "[]", '{"layout": 5}', '{"other": "grid"}', '{"layout": ""}'])
def test_metadata_that_is_no_layout_changes_nothing(metadata: str) -> None:
    room = Watched("speaker")
    room.comes(ADA, 1.0)
    room.comes(BOB, 1.0)
    before = room.stage.director.arrangement(at(1.0), lambda sid: True)
    room.stage.on_event(OwnMetadataChanged(at(2.0), metadata))
    assert room.stage.director.arrangement(at(2.0), lambda sid: True) is before
    assert room.warnings == []


def test_a_layout_that_cannot_be_is_a_warning() -> None:
    room = Watched()
    room.comes(ADA, 1.0)
    before = room.stage.director.arrangement(at(1.0), lambda sid: True)
    room.stage.on_event(OwnMetadataChanged(at(2.0), '{"layout": "grid?gap=wide"}'))
    assert room.stage.director.arrangement(at(2.0), lambda sid: True) is before
    (warning,) = room.warnings
    assert "The layout was not changed" in warning
    assert "gap" in warning
    with pytest.raises(InvalidRequest):
        Watched("grid?gap=wide")


# One picture


def single(*wanted: str) -> SingleStage:
    """The sources in `wanted`, the first the most."""
    return SingleStage(HD, rank=lambda feed: wanted.index(feed.source) if feed.source in wanted else 0)


def seen(stage: Stage, seconds: float, *pictures: str) -> str | None:
    """The track that is drawn when these have a picture."""
    tiles = stage.director.arrangement(at(seconds), lambda sid: sid in pictures).tiles
    return tiles[0].picture_sid if tiles else None


def feeds() -> tuple[Participant, Feed, Feed]:
    both = person("ada", camera("ada"), screen("ada"))
    return both, feed_of(both, both.tracks["C_ada"]), feed_of(both, both.tracks["S_ada"])


def test_the_screen_before_the_camera() -> None:
    stage = single("screen_share", "camera")
    ada, face, slides = feeds()
    stage.added(face, ada, at(1.0))
    stage.added(slides, ada, at(2.0))
    stage.removed(slides, at(4.0))
    pictures = ("C_ada", "S_ada")
    assert seen(stage, 1.0, *pictures) == "C_ada"
    assert seen(stage, 2.0, "C_ada") == "C_ada", "its first picture is waited for"
    assert seen(stage, 2.1, *pictures) == "S_ada"
    assert seen(stage, 4.0, *pictures) == "C_ada"


def test_one_picture_through_a_mute() -> None:
    stage = single("camera")
    ada, face, _ = feeds()
    stage.added(face, ada, at(1.0))
    stage.on_event(TrackMuted(at(2.0), ada, camera("ada", muted=True)))
    stage.on_event(TrackUnmuted(at(3.0), ada, camera("ada")))
    assert [seen(stage, seconds, "C_ada") for seconds in (1.0, 2.0, 3.0)] == ["C_ada", None, "C_ada"]


def test_a_picture_that_begins_muted_and_tracks_of_others() -> None:
    stage = single("camera")
    muted = camera("ada", muted=True)
    ada = person("ada", muted)
    stage.added(feed_of(ada, muted), ada, at(1.0))
    stage.on_event(TrackUnmuted(at(1.5), BOB, BOB.tracks["C_bob"]))
    assert seen(stage, 2.0, "C_ada", "C_bob") is None
    stage.on_event(TrackUnmuted(at(3.0), ada, camera("ada")))
    assert seen(stage, 3.0, "C_ada", "C_bob") == "C_ada"
