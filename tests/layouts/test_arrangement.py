"""Arrangements against what the reference's own frames show."""

from __future__ import annotations

import pytest

from pyegress.layouts.arrangement import MutedPicture, Picture, Tile
from pyegress.layouts.colour import BLACK, WHITE
from pyegress.layouts.geometry import Box, Rect, Size
from pyegress.layouts.placement import Fit
from tests.layouts.reference_frames import FRAMES, SOURCE_BARS, SOURCE_HEADER, MeasuredFrame
from tests.layouts.scenes import HD, arrange, cameras, person

pytestmark = pytest.mark.unit

PUBLISHED = Size(640, 360)


def _arranged(frame: MeasuredFrame) -> dict[str, Tile]:
    silent = (person(number) for number in range(frame.publishing, 3))
    arrangement = arrange(frame.layout, *cameras(frame.publishing), *silent)
    assert arrangement.size == HD
    assert arrangement.background == (WHITE if frame.light else BLACK)
    return {tile.identity: tile for tile in arrangement.tiles}


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
def test_every_tile_edge_is_within_a_pixel_of_the_reference(frame: MeasuredFrame) -> None:
    tiles = _arranged(frame)
    assert list(tiles) == [measured.person for measured in frame.tiles]
    for measured in frame.tiles:
        rect = tiles[measured.person].rect
        edges = (rect.x, rect.y, rect.right, rect.bottom)
        wanted = (measured.left, measured.top, measured.right, measured.bottom)
        assert all(abs(a - b) <= 1 for a, b in zip(edges, wanted, strict=True)), (measured.person, edges, wanted)


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
def test_what_is_in_the_pictures_lies_where_the_reference_shows_it(frame: MeasuredFrame) -> None:
    tiles = _arranged(frame)
    for measured in frame.tiles:
        placement = tiles[measured.person].place(PUBLISHED)
        assert placement is not None
        left = placement.target.x - placement.offset[0]
        top = placement.target.y - placement.offset[1]
        across, down = placement.scaled.width / PUBLISHED.width, placement.scaled.height / PUBLISHED.height
        bars = [left + bar * across for bar in SOURCE_BARS]
        seen = [bar for bar in bars if placement.target.x + 2 < bar < placement.target.right - 2]
        assert seen == pytest.approx(list(measured.bars), abs=1.5), measured.person
        assert top + SOURCE_HEADER * down == pytest.approx(measured.header, abs=1.5), measured.person


def test_a_tile_places_only_pictures_that_it_shows() -> None:
    rect, box = Rect(0, 0, 640, 360), Box(0, 0, 640, 360)
    shown = Tile("C0", "P0", rect, box, BLACK, Picture("C0", Fit.CONTAIN))
    assert shown.picture_sid == "C0"
    placement = shown.place(Size(360, 640))
    assert placement is not None
    assert placement.target == Rect(218, 0, 202, 360) or placement.target == Rect(220, 0, 202, 360)
    muted = Tile("C0", "P0", rect, box, BLACK, MutedPicture("C0", None))
    assert muted.picture_sid is None
    assert muted.place(Size(360, 640)) is None


def test_the_needed_tracks_are_those_in_pictures() -> None:
    arrangement = arrange("single-speaker", *cameras(3))
    assert arrangement.track_sids == {"C0"}
    assert arrangement.off_page == ("C1", "C2")


def test_equal_scenes_give_equal_arrangements() -> None:
    assert arrange("grid?names=1", *cameras(5)) == arrange("grid?names=1", *cameras(5))
    assert arrange("grid", *cameras(5)) != arrange("grid-light", *cameras(5))
