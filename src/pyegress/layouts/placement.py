"""How a picture of any size goes into the box of a tile: what to scale it to, and which part is seen where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pyegress.layouts.geometry import Box, Rect, Size, nearest_even


class Fit(Enum):
    """How a picture fills its box."""

    #: Fills the box, centred; what is too much is cut (CSS `object-fit: cover`).
    COVER = "cover"
    #: All of it, centred; what is left of the box shows its background (CSS `object-fit: contain`).
    CONTAIN = "contain"
    #: As wide as the box, at its top; what is too high is cut.
    WIDTH = "width"
    #: Unscaled, at the top left corner of the box.
    NATURAL = "natural"


@dataclass(frozen=True, slots=True)
class Placement:
    """One picture on the canvas; every number is even, but for the sides of `source` at an odd edge of the picture.

    Two ways to draw it that give the same: scale the whole picture to `scaled` and copy the part of `target`'s size
    at `offset` of it, or cut `source` out of the picture and scale that to `target`. The first is exact to the
    pixel and cheap where little is cut; the second bounds the work where much is (`scaled` may be huge for a
    picture of extreme proportions).
    """

    #: Pixels of the canvas that the picture covers.
    target: Rect
    #: Size of the whole picture after scaling.
    scaled: Size
    #: Place of `target`'s top left corner in the scaled picture.
    offset: tuple[int, int]
    #: The part of the unscaled picture that is seen.
    source: Rect

    @property
    def whole(self) -> bool:
        """Nothing of the picture is cut."""
        return (self.scaled.width, self.scaled.height) == (self.target.width, self.target.height)


def place(source: Size, box: Box, visible: Rect, fit: Fit) -> Placement | None:
    """Place a picture of size `source` into `box`, of which the canvas shows `visible` (even pixels).

    None when nothing of it is seen, or when it has no pixels.
    """
    if source.width <= 0 or source.height <= 0 or visible.empty:
        return None
    content = _content(source, box, fit)
    bounds = box.snapped()
    # The size is rounded before the place, so that a picture that needs no scaling gets none.
    width, height = max(2, nearest_even(content.width)), max(2, nearest_even(content.height))
    if fit is Fit.COVER:
        width, height = max(width, bounds.width), max(height, bounds.height)
    elif fit is Fit.CONTAIN:
        width, height = min(width, bounds.width), min(height, bounds.height)
    scaled = Size(width, height)
    x, y = bounds.x, bounds.y
    if fit in (Fit.COVER, Fit.CONTAIN):
        # Rounding may neither open a seam at an edge of the tile nor push the picture over it.
        rounded = content.centred(width, height)
        x = _within(nearest_even(rounded.x), bounds.x, bounds.right - width)
        y = _within(nearest_even(rounded.y), bounds.y, bounds.bottom - height)
    target = Rect(x, y, scaled.width, scaled.height).cut(visible)
    if target.empty:
        return None
    offset = (target.x - x, target.y - y)
    left, across = _source_span(offset[0], target.width, width, source.width)
    top, down = _source_span(offset[1], target.height, height, source.height)
    return Placement(target, scaled, offset, Rect(left, top, across, down))


def _within(value: int, one_end: int, other_end: int) -> int:
    return max(min(value, max(one_end, other_end)), min(one_end, other_end))


def _content(source: Size, box: Box, fit: Fit) -> Box:
    """The box of the scaled picture, in fractional pixels."""
    across, down = box.width / source.width, box.height / source.height
    if fit is Fit.NATURAL:
        return Box(box.x, box.y, source.width, source.height)
    if fit is Fit.WIDTH:
        return Box(box.x, box.y, box.width, source.height * across)
    scale = max(across, down) if fit is Fit.COVER else min(across, down)
    return box.centred(source.width * scale, source.height * scale)


def _source_span(offset: int, length: int, scaled: int, size: int) -> tuple[int, int]:
    """Start and length, in pixels of the picture, of what lies under `length` pixels at `offset` of the scaled one."""
    start = nearest_even(offset * size / scaled)
    end = min(size, nearest_even((offset + length) * size / scaled))
    start = min(start, max(0, (size - 1) & ~1))
    return start, max(end - start, min(2, size - start))
