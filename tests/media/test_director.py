"""What is shown at which moment of the output."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.layouts.geometry import Size
from pyegress.layouts.layout import Layout
from pyegress.layouts.scene import Scene
from pyegress.media.director import CandidateChanged, RoomDirector, SingleDirector
from tests.layouts.scenes import cameras, keys, scene

pytestmark = pytest.mark.unit

HD = Size(1280, 720)


def everything(sid: str) -> bool:
    return True


def shown(director: SingleDirector, now: float, *pictures: str) -> str | None:
    """The track that is drawn when these have a picture."""
    tiles = director.arrangement(Monotonic(now), lambda sid: sid in pictures).tiles
    return tiles[0].picture_sid if tiles else None


def test_a_change_waits_for_its_moment() -> None:
    director = RoomDirector(Layout.parse("grid"), HD)
    director.change(Monotonic(1.0), scene(*cameras(1)))
    director.change(Monotonic(2.0), scene(*cameras(2)))
    assert keys(director.arrangement(Monotonic(0.99), everything)) == []
    assert keys(director.arrangement(Monotonic(1.0), everything)) == ["C0"]
    assert keys(director.arrangement(Monotonic(1.9), everything)) == ["C0"]
    assert keys(director.arrangement(Monotonic(2.5), everything)) == ["C0", "C1"]


def test_nothing_new_is_the_same_object() -> None:
    director = RoomDirector(Layout.parse("grid"), HD)
    director.change(Monotonic(1.0), scene(*cameras(2)))
    first = director.arrangement(Monotonic(1.0), everything)
    director.change(Monotonic(1.5), scene(*cameras(2)))
    assert director.arrangement(Monotonic(2.0), everything) is first


def test_another_layout_without_a_change_of_the_room() -> None:
    director = RoomDirector(Layout.parse("grid"), HD)
    director.change(Monotonic(1.0), scene(*cameras(2)))
    assert director.arrangement(Monotonic(1.0), everything).tiles[0].rect.width == 640
    director.change(Monotonic(3.0), Layout.parse("speaker"))
    assert director.arrangement(Monotonic(2.9), everything).tiles[0].rect.width == 640
    assert director.arrangement(Monotonic(3.0), everything).tiles[0].rect.height == 720


def test_everybody_leaves() -> None:
    director = RoomDirector(Layout.parse("grid"), HD)
    director.change(Monotonic(1.0), scene(*cameras(2)))
    director.change(Monotonic(2.0), Scene())
    assert keys(director.arrangement(Monotonic(1.5), everything)) == ["C0", "C1"]
    assert keys(director.arrangement(Monotonic(2.0), everything)) == []


def test_a_track_is_shown_once_it_has_a_picture() -> None:
    director = SingleDirector(HD)
    director.change(Monotonic(1.0), CandidateChanged("TR_1", "ada", 0))
    assert shown(director, 0.5, "TR_1") is None
    assert shown(director, 1.0) is None
    assert shown(director, 1.1, "TR_1") == "TR_1"


def test_the_newer_of_two_takes_over_with_its_first_picture() -> None:
    director = SingleDirector(HD)
    director.change(Monotonic(1.0), CandidateChanged("TR_1", "ada", 0))
    director.change(Monotonic(2.0), CandidateChanged("TR_2", "ada", 0))
    assert shown(director, 2.0, "TR_1") == "TR_1"
    assert shown(director, 2.1, "TR_1", "TR_2") == "TR_2"
    director.change(Monotonic(3.0), CandidateChanged("TR_2", "ada", None))
    assert shown(director, 3.0, "TR_1", "TR_2") == "TR_1"


def test_a_screen_that_is_wanted_more_falls_back_to_the_camera() -> None:
    director = SingleDirector(HD)
    director.change(Monotonic(1.0), CandidateChanged("TR_screen", "ada", 0))
    director.change(Monotonic(1.0), CandidateChanged("TR_camera", "ada", 1))
    assert shown(director, 1.0, "TR_screen", "TR_camera") == "TR_screen"
    director.change(Monotonic(2.0), CandidateChanged("TR_screen", "ada", 0, muted=True))
    assert shown(director, 2.0, "TR_screen", "TR_camera") == "TR_camera"
    director.change(Monotonic(3.0), CandidateChanged("TR_screen", "ada", 0, muted=False))
    assert shown(director, 3.0, "TR_screen", "TR_camera") == "TR_screen"


def test_muted_alone_is_black() -> None:
    director = SingleDirector(HD)
    director.change(Monotonic(1.0), CandidateChanged("TR_1", "ada", 0, muted=True))
    assert shown(director, 1.0, "TR_1") is None
