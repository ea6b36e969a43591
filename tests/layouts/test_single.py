"""One picture over the whole canvas."""

from __future__ import annotations

import pytest

from pyegress.layouts.colour import BLACK
from pyegress.layouts.geometry import Rect, Size
from pyegress.layouts.single import single_picture

pytestmark = pytest.mark.unit


def test_without_a_track_it_is_black() -> None:
    assert single_picture(Size(1280, 720), None).tiles == ()
    assert single_picture(Size(1280, 720), None).background == BLACK


@pytest.mark.parametrize(
    ("picture", "target"),
    [
        (Size(640, 360), Rect(0, 0, 1280, 720)),
        (Size(360, 640), Rect(438, 0, 406, 720)),
        (Size(640, 480), Rect(160, 0, 960, 720)),
        (Size(1920, 816), Rect(0, 88, 1280, 544)),
    ],
)
def test_all_of_the_picture_is_seen_in_the_middle(picture: Size, target: Rect) -> None:
    (tile,) = single_picture(Size(1280, 720), "TR_1").tiles
    placement = tile.place(picture)
    assert placement is not None
    assert placement.target == target
    assert placement.whole
    assert tile.background == BLACK
