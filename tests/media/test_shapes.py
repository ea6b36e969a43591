"""Coverage of shapes, and how they are blended."""

from __future__ import annotations

import numpy as np
import pytest

from pyegress.layouts.arrangement import Border
from pyegress.layouts.colour import BLACK, WHITE, Colour
from pyegress.layouts.geometry import Rect
from pyegress.media.overlay import Layer, overlay
from pyegress.media.planes import Planes, ycbcr_of
from pyegress.media.shapes import border_overlays, corner_overlays, glyph_coverage, rounded

pytestmark = pytest.mark.media


def black(width: int, height: int) -> Planes:
    half = (height // 2, width // 2)
    planes = Planes(np.empty((height, width), np.uint8), np.empty(half, np.uint8), np.empty(half, np.uint8))
    planes.fill(BLACK)
    return planes


def test_colours_are_bt709_limited() -> None:
    known = {
        BLACK: (16, 128, 128),
        WHITE: (235, 128, 128),
        Colour(255, 0, 0): (63, 102, 240),
        Colour(0, 255, 0): (173, 42, 26),
        Colour(0, 0, 255): (32, 240, 118),
    }
    assert {colour: tuple(map(round, ycbcr_of(colour))) for colour in known} == known


@pytest.mark.parametrize("side", [10, 46, 120, 576, 720])
def test_the_person_is_symmetric_and_covers_the_same_part_at_every_size(side: int) -> None:
    covered = glyph_coverage(side)
    assert covered.shape == (side, side)
    assert np.allclose(covered, covered[:, ::-1], atol=1e-5)
    assert 0 <= covered.min() <= covered.max() <= 1.0001
    assert covered.mean() == pytest.approx(glyph_coverage(320).mean(), abs=0.02)


@pytest.mark.parametrize("radius", [0, 1, 7, 32, 60])
def test_rounded_rectangles_have_the_area_they_should(radius: int) -> None:
    lost = 4 * radius**2 * (1 - np.pi / 4)
    assert rounded(160, 120, radius).sum() == pytest.approx(160 * 120 - lost, rel=0.001)


def test_corners_leave_the_middle_alone() -> None:
    planes = black(64, 48)
    for corner in corner_overlays(Rect(8, 8, 32, 32), 8, WHITE):
        corner.draw(planes)
    assert [planes.luma[y, x] for y, x in ((8, 8), (8, 39), (39, 8), (39, 39))] == [235] * 4
    assert planes.luma[16:32, 8:40].max() == 16
    assert planes.luma[:8].max() == 16
    assert planes.luma[:, 40:].max() == 16


def test_a_border_is_a_ring() -> None:
    planes = black(64, 48)
    for strip in border_overlays(Rect(0, 0, 64, 48), 0, Border(4, WHITE)):
        strip.draw(planes)
    ring = np.full((48, 64), 235)
    ring[4:-4, 4:-4] = 16
    assert np.array_equal(planes.luma, ring)


def test_a_border_thicker_than_its_tile_fills_it() -> None:
    planes = black(16, 8)
    for strip in border_overlays(Rect(0, 0, 16, 8), 0, Border(20, WHITE)):
        strip.draw(planes)
    assert np.all(planes.luma == 235)


def test_layers_are_flattened_in_order_and_cut_at_the_bounds() -> None:
    planes, whole = black(16, 8), np.ones((8, 8), np.float32)
    layers = [Layer(whole, Colour(255, 0, 0)), Layer(whole * np.float32(0.5), WHITE)]
    drawn = overlay(Rect(-4, 0, 8, 8), layers, Rect(0, 0, 16, 8))
    assert drawn is not None
    assert drawn.rect == Rect(0, 0, 4, 8)
    drawn.draw(planes)
    assert (planes.luma[0, 0], planes.blue[0, 0], planes.red[0, 0]) == (149, 115, 184)
    assert planes.luma[0, 4] == 16
    assert overlay(Rect(0, 0, 8, 8), layers, Rect(8, 0, 8, 8)) is None


def test_a_colour_over_itself_does_not_change() -> None:
    for opacity in np.linspace(0, 1, 41, dtype=np.float32):
        planes = black(4, 4)
        planes.fill(Colour(31, 140, 249))
        before = [plane.copy() for plane in planes]
        drawn = overlay(Rect(0, 0, 4, 4), [Layer(np.full((4, 4), opacity), Colour(31, 140, 249))])
        assert drawn is not None
        drawn.draw(planes)
        for plane, kept in zip(planes, before, strict=True):
            assert np.abs(plane.astype(int) - kept).max() <= 1


def test_faded_overlays_are_weaker() -> None:
    levels = []
    for opacity in (0.0, 0.5, 1.0):
        planes = black(4, 4)
        drawn = overlay(Rect(0, 0, 4, 4), [Layer(np.ones((4, 4), np.float32), WHITE)])
        assert drawn is not None
        drawn.faded(opacity).draw(planes)
        levels.append(int(planes.luma[0, 0]))
    assert levels == [16, 126, 235]
