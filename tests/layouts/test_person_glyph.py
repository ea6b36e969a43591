"""The glyph of a muted camera."""

from __future__ import annotations

import pytest

from pyegress.layouts.colour import Colour
from pyegress.layouts.geometry import Box, Rect
from pyegress.layouts.person_glyph import FADE, VIEW_BOX, fade_in, glyph_in, glyph_spans

pytestmark = pytest.mark.unit


def test_as_high_as_the_tile_and_centred() -> None:
    assert glyph_in(Box(640, 0, 640, 360)).rect == Rect(780, 0, 360, 360)


def test_at_most_four_fifths_of_the_width() -> None:
    assert glyph_in(Box(0, 0, 640, 720)).rect == Rect(64, 104, 512, 512)
    assert glyph_in(Box(0, 0, 640, 720)).colour == Colour(255, 255, 255, 64)


@pytest.mark.parametrize(
    ("y", "spans"),
    [
        (10, []),
        (100, [(80, 240)]),
        (179, [(147.4, 172.6)]),
        (185, []),
        # Left and right of the neck's curve, then one piece below it.
        (200, [(87.9, 128.0), (192.0, 232.1)]),
        (210, [(73.4, 246.6)]),
        (300, [(21.4, 298.6)]),
        (319.9, [(38.1, 281.9)]),
        (321, []),
    ],
)
def test_outline(y: float, spans: list[tuple[float, float]]) -> None:
    found = glyph_spans(y)
    assert len(found) == len(spans)
    for got, wanted in zip(found, spans, strict=True):
        assert got == pytest.approx(wanted, abs=0.2)


def test_every_line_lies_within_the_square_and_is_symmetric() -> None:
    covered = 0.0
    for tenth in range(3200):
        spans = glyph_spans(tenth / 10)
        for left, right in spans:
            assert 0 <= left < right <= VIEW_BOX
        edges = [edge for span in spans for edge in span]
        assert [VIEW_BOX - edge for edge in reversed(edges)] == pytest.approx(edges)
        covered += sum(right - left for left, right in spans) / 10
    # Head (pi * 80 * 80 = 20106) and shoulders together cover about half of the square.
    assert covered == pytest.approx(0.48 * VIEW_BOX * VIEW_BOX, rel=0.03)


def test_fading_eases_in_and_out() -> None:
    assert [round(fade_in(part * FADE), 3) for part in (-1, 0, 0.25, 0.5, 0.75, 1, 2)] == [
        0,
        0,
        0.129,
        0.5,
        0.871,
        1,
        1,
    ]
