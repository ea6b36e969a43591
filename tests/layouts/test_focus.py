"""The speaker layout's areas against the numbers measured in Chromium."""

from __future__ import annotations

import pytest

from pyegress.layouts.focus import focus
from pyegress.layouts.geometry import Rect

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("size", "strip", "tile", "main"),
    [
        ((1280, 720), 213.33, (213.33, 133.33), (213.33, 1066.67, 720)),
        ((1920, 1080), 320, (320, 200), (320, 1600, 1080)),
        ((720, 1280), 120, (120, 75), (120, 600, 1280)),
        ((640, 360), 106.67, (106.67, 66.67), (106.67, 533.33, 360)),
    ],
)
def test_main_and_strip(
    size: tuple[int, int], strip: float, tile: tuple[float, float], main: tuple[float, float, float]
) -> None:
    areas = focus(Rect(0, 0, *size))
    assert (areas.main.x, areas.main.width, areas.main.height) == pytest.approx(main, abs=0.01)
    assert (areas.strip.x, areas.strip.y, areas.strip.width) == pytest.approx((0, 0, strip), abs=0.01)
    boxes = areas.strip_boxes(3)
    assert {(box.x, round(box.width, 2), round(box.height, 2)) for box in boxes} == {(0, *tile)}
    assert [box.y for box in boxes] == pytest.approx([0, tile[1], 2 * tile[1]], abs=0.02)


def test_tiles_shrink_by_the_scroll_bar_when_they_are_too_many() -> None:
    areas = focus(Rect(0, 0, 1280, 720))
    assert areas.strip_boxes(5)[4].width == pytest.approx(213.33, abs=0.01)
    box = areas.strip_boxes(8)[7]
    assert (box.width, box.height) == pytest.approx((198.33, 123.96), abs=0.01)
    assert box.y == pytest.approx(7 * 123.96, abs=0.05)


def test_a_narrow_viewport_is_stacked() -> None:
    areas = focus(Rect(0, 0, 600, 1200))
    assert (areas.main.y, areas.main.width, areas.main.height) == (0, 600, 1000)
    assert (areas.strip.x, areas.strip.y, areas.strip.width, areas.strip.height) == (0, 1000, 600, 200)
    assert [(box.y, box.width, box.height) for box in areas.strip_boxes(2)] == [(1000, 600, 375), (1375, 600, 375)]
    assert focus(Rect(0, 0, 602, 1200)).main.x > 100


@pytest.mark.parametrize(
    ("size", "fitting"),
    [((1280, 720), 5), ((1920, 1080), 6), ((720, 1280), 10), ((640, 360), 3), ((640, 100), 1), ((600, 1200), 2)],
)
def test_how_many_tiles_count_as_visible(size: tuple[int, int], fitting: int) -> None:
    assert focus(Rect(0, 0, *size)).fitting == fitting


def test_a_gap_lies_around_and_between() -> None:
    areas = focus(Rect(0, 0, 1280, 720), gap=8)
    assert (areas.strip.x, areas.strip.y, areas.strip.bottom) == (8, 8, 712)
    assert areas.main.x - areas.strip.right == 8
    assert areas.main.right == pytest.approx(1272)
    first, second = areas.strip_boxes(2)
    assert second.y - first.bottom == pytest.approx(8)
    stacked = focus(Rect(0, 0, 600, 1200), gap=8)
    assert stacked.strip.y - stacked.main.bottom == pytest.approx(8)
    assert stacked.strip.bottom == pytest.approx(1192)
