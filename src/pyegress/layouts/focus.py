"""The speaker layout: one main tile and a strip with the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyegress.layouts.geometry import Box, Rect
from pyegress.layouts.grid import bounded_gap

#: Up to this width of the viewport the strip lies below the main tile.
STACKED_UP_TO = 600
#: Strip : main is 1 : 5 of the width (stacked: of the height).
_PARTS = 6
_ASPECT = 16 / 10
#: Width of Chrome's scroll bar. It takes its room from the tiles when they are too many for the strip; we draw none.
_SCROLL_BAR = 15
#: The carousel of components-react counts tiles by these: height per width, smallest height, smallest width.
_SPAN_PER_WIDTH = 0.6
_MIN_HEIGHT = 130
_MIN_WIDTH = 140
#: The strip's order is stable in blocks of this many, before it is so again by the number of tiles that fit.
STRIP_BLOCK = 3


@dataclass(frozen=True, slots=True)
class Focus:
    """The two areas of the layout."""

    main: Box
    strip: Box
    gap: int

    def strip_boxes(self, count: int) -> list[Box]:
        """Boxes of the strip's tiles from the top; the last ones may lie partly or fully below the strip."""
        width = self.strip.width
        if self._height(count, width) > self.strip.height and not self._stacked:
            width -= _SCROLL_BAR
        step = width / _ASPECT + self.gap
        return [Box(self.strip.x, self.strip.y + index * step, width, width / _ASPECT) for index in range(count)]

    @property
    def fitting(self) -> int:
        """How many tiles the strip counts as visible: the size of a page of its order."""
        width, height = self.strip.width, self.strip.height
        if height >= width:
            fit = (height - _SCROLL_BAR) / max(width * _SPAN_PER_WIDTH, _MIN_HEIGHT)
        else:
            fit = (width - _SCROLL_BAR) / max(height * _ASPECT, _MIN_WIDTH)
        return max(1, math.floor(fit + 0.5))

    @property
    def _stacked(self) -> bool:
        return self.strip.y >= self.main.bottom

    def _height(self, count: int, width: float) -> float:
        return count * width / _ASPECT + (count - 1) * self.gap


def focus(canvas: Rect, gap: int = 0) -> Focus:
    """The areas of main tile and strip; `gap` lies around and between them."""
    if canvas.width <= STACKED_UP_TO:
        gap = bounded_gap(gap, canvas, 1, _PARTS)
        width = canvas.width - 2 * gap
        part = (canvas.height - 3 * gap) / _PARTS
        main = Box(canvas.x + gap, canvas.y + gap, width, part * (_PARTS - 1))
        return Focus(main, Box(main.x, main.bottom + gap, width, part), gap)
    gap = bounded_gap(gap, canvas, _PARTS, 1)
    height = canvas.height - 2 * gap
    part = (canvas.width - 3 * gap) / _PARTS
    strip = Box(canvas.x + gap, canvas.y + gap, part, height)
    return Focus(Box(strip.right + gap, strip.y, part * (_PARTS - 1), height), strip, gap)
