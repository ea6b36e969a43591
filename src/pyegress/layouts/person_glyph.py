"""The person that stands for a muted camera: its outline, place and fading."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyegress.layouts.colour import GLYPH_WHITE, Colour
from pyegress.layouts.geometry import Box, Rect

#: Side of the square in which `glyph_spans` measures.
VIEW_BOX = 320.0
#: Seconds in which the glyph appears after a mute and goes after an unmute.
FADE = 0.2
_CENTRE = 160.0
_HEAD_Y, _HEAD_RADIUS = 100.0, 80.0
#: The shoulders are a disc around the middle of the bottom edge, less a wider disc around the head.
_BODY_Y, _BODY_RADIUS = 320.0, 140.0
_NECK_RADIUS = 105.0
#: The bottom corners are rounded from here on.
_CORNER_Y, _CORNER_HEIGHT = 300.0, 20.0
_CORNER_INNER, _CORNER_WIDTH = 120.0, 18.6

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Glyph:
    """A person glyph to blend over a tile; what lies outside of the tile's rectangle is cut."""

    rect: Rect
    colour: Colour = GLYPH_WHITE


def glyph_in(box: Box) -> Glyph:
    """The glyph of a tile: a square as high as the tile, but at most 4/5 as wide, centred."""
    side = min(box.height, 0.8 * box.width)
    return Glyph(box.centred(side, side).snapped())


def glyph_spans(y: float) -> tuple[Span, ...]:
    """The parts of the line `y` that the glyph covers, from left to right; all in a square of 320 units."""
    head = _half_chord(y - _HEAD_Y, _HEAD_RADIUS)
    if head > 0:
        spans: tuple[Span, ...] = ((_CENTRE - head, _CENTRE + head),)
    else:
        spans = ()
    body = _body_half_width(y)
    neck = _half_chord(y - _HEAD_Y, _NECK_RADIUS)
    if body <= neck:
        return spans
    if neck <= 0:
        return ((_CENTRE - body, _CENTRE + body),)
    return ((_CENTRE - body, _CENTRE - neck), *spans, (_CENTRE + neck, _CENTRE + body))


def fade_in(elapsed: float) -> float:
    """Opacity 0..1 at `elapsed` seconds after the glyph began to appear (CSS `ease-in-out`); going is 1 minus it."""
    time = min(max(elapsed / FADE, 0.0), 1.0)
    # The curve is a cubic Bezier through (0.42, 0) and (0.58, 1) of which time is the abscissa.
    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if _bezier(middle, 0.42, 0.58) < time else (low, middle)
    return _bezier((low + high) / 2, 0.0, 1.0)


def _bezier(at: float, first: float, second: float) -> float:
    rest = 1 - at
    return 3 * rest * rest * at * first + 3 * rest * at * at * second + at * at * at


def _half_chord(distance: float, radius: float) -> float:
    return math.sqrt(max(0.0, radius * radius - distance * distance))


def _body_half_width(y: float) -> float:
    if y < _CORNER_Y:
        return _half_chord(y - _BODY_Y, _BODY_RADIUS)
    if y > _BODY_Y:
        return 0.0
    return _CORNER_INNER + _CORNER_WIDTH * math.sqrt(1 - ((y - _CORNER_Y) / _CORNER_HEIGHT) ** 2)
