"""Boxes of a layout in fractional pixels, and their rectangles on the even pixels that I420 planes share."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Sums of thirds of pixels are not exact; two boxes that share an edge must still snap it to the same pixel.
_EXACT = 6


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Rect:
    """Whole pixels; `x`, `y` is the top left corner. Empty when a side is 0."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column that does not belong to it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row that does not belong to it."""
        return self.y + self.height

    @property
    def empty(self) -> bool:
        return self.width <= 0 or self.height <= 0

    def cut(self, other: Rect) -> Rect:
        """What both cover; empty (with sides of 0) when they do not meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width, height = min(self.right, other.right) - x, min(self.bottom, other.bottom) - y
        return Rect(x, y, max(0, width), max(0, height))

    def inset(self, by: int) -> Rect:
        """The rectangle that is `by` pixels smaller on each side; at least empty."""
        by = min(by, self.width // 2, self.height // 2)
        return Rect(self.x + by, self.y + by, self.width - 2 * by, self.height - 2 * by)


@dataclass(frozen=True, slots=True)
class Box:
    """Fractional pixels: where a page would lay something out before it meets the pixel grid."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def snapped(self) -> Rect:
        """Every edge moved to the nearest even pixel: at most 1 px away, and boxes that touch still do."""
        x, y = nearest_even(self.x), nearest_even(self.y)
        return Rect(x, y, nearest_even(self.right) - x, nearest_even(self.bottom) - y)

    def centred(self, width: float, height: float) -> Box:
        """A box of this size with the same centre."""
        return Box(self.x + (self.width - width) / 2, self.y + (self.height - height) / 2, width, height)


def nearest_even(value: float) -> int:
    """The even number nearest to `value`; an odd one goes up."""
    return 2 * math.floor(round(value / 2, _EXACT) + 0.5)


def even_canvas(width: int, height: int) -> Rect:
    """The part of an output picture that whole chroma samples cover: all of it, but for an odd last column or row."""
    return Rect(0, 0, width & ~1, height & ~1)
