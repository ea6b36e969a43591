"""How much of each pixel a shape covers: the person glyph, rounded corners, borders."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pyegress.layouts.arrangement import Border
from pyegress.layouts.colour import Colour
from pyegress.layouts.geometry import Rect
from pyegress.layouts.person_glyph import VIEW_BOX, glyph_spans
from pyegress.media.overlay import Layer, Overlay, overlay
from pyegress.media.planes import FloatPlane

#: Lines per row of pixels; along a line the coverage is exact.
_LINES = 4


@lru_cache(maxsize=8)
def glyph_coverage(side: int) -> FloatPlane:
    """The person in a square of `side` pixels."""
    count = side * _LINES
    spans = [glyph_spans((line + 0.5) * VIEW_BOX / count) for line in range(count)]
    covered = np.zeros((count, side), np.float32)
    for slot in range(max(map(len, spans))):
        edges = np.array([line[slot] if slot < len(line) else (0.0, 0.0) for line in spans]) * (side / VIEW_BOX)
        covered += _between(edges[:, :1], edges[:, 1:], side)
    return _mean_of_lines(covered)


def corner_overlays(rect: Rect, radius: int, outside: Colour) -> list[Overlay]:
    """What makes the corners of a rectangle round: `outside` where they were."""
    side = min(radius + (radius & 1), rect.width, rect.height)
    if radius <= 0 or side <= 0:
        return []
    return [
        piece
        for x, across in ((rect.x, 1), (rect.right - side, -1))
        for y, down in ((rect.y, 1), (rect.bottom - side, -1))
        if (piece := overlay(Rect(x, y, side, side), [Layer(_corner(side, radius)[::down, ::across], outside)]))
    ]


def border_overlays(rect: Rect, radius: int, border: Border) -> list[Overlay]:
    """A ring inside of the edges of a rectangle with round corners, in four strips that leave out its middle."""
    width, height = rect.width, rect.height
    line = min(border.width, width // 2, height // 2)
    if line <= 0:
        return []
    ring = rounded(width, height, radius)
    ring[line : height - line, line : width - line] -= rounded(
        width - 2 * line, height - 2 * line, max(0, radius - line)
    )
    high = min(max(radius, line) + 1 & ~1, height // 2 & ~1)
    wide = line + 1 & ~1
    strips = [
        Rect(0, 0, width, high),
        Rect(0, height - high, width, high),
        Rect(0, high, wide, height - 2 * high),
        Rect(width - wide, high, wide, height - 2 * high),
    ]
    return [
        piece
        for strip in strips
        if not strip.empty
        and (
            piece := overlay(
                Rect(rect.x + strip.x, rect.y + strip.y, strip.width, strip.height),
                [Layer(ring[strip.y : strip.bottom, strip.x : strip.right], border.colour)],
            )
        )
    ]


def rounded(width: int, height: int, radius: int) -> FloatPlane:
    """A rectangle with round corners that fills its pixels."""
    covered = np.ones((height, width), np.float32)
    side = min(radius, width, height)
    if side > 0:
        corner = 1 - _corner(side, radius)
        for down in (1, -1):
            for across in (1, -1):
                part = covered[::down, ::across][:side, :side]
                np.minimum(part, corner, out=part)
    return covered


@lru_cache(maxsize=16)
def _corner(side: int, radius: int) -> FloatPlane:
    """What a circle of `radius` leaves out of the top left corner, in a square of `side` >= radius pixels."""
    y = (np.arange(side * _LINES) + 0.5) / _LINES
    left = radius - np.sqrt(np.maximum(0.0, radius**2 - np.maximum(0.0, radius - y) ** 2))
    return _mean_of_lines(_between(np.zeros((len(y), 1)), left[:, None], side))


def _between(start: NDArray[np.float64], end: NDArray[np.float64], width: int) -> FloatPlane:
    """Coverage of `width` pixels by the part of each line from `start` to `end` (columns of positions)."""
    x = np.arange(width)
    return (np.clip(end - x, 0, 1) - np.clip(start - x, 0, 1)).astype(np.float32)


def _mean_of_lines(lines: FloatPlane) -> FloatPlane:
    mean: FloatPlane = lines.reshape(-1, _LINES, lines.shape[1]).mean(axis=1, dtype=np.float32)
    return mean
