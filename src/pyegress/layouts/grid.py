"""The grid: how many columns, how many tiles at most, and where each is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyegress.layouts.geometry import Box, Rect


@dataclass(frozen=True, slots=True)
class GridShape:
    """A grid of components-core. Rows are as many as are used, not as many as the name says."""

    columns: int
    #: Tiles that it holds at most: the size of a page.
    capacity: int
    #: Pixels that the viewport needs to be wide.
    min_width: int = 0


_SINGLE = GridShape(1, 1)
_STACKED = GridShape(1, 2)
_SIDE_BY_SIDE = GridShape(2, 2)
_LARGER = (GridShape(2, 4, 560), GridShape(3, 9, 700), GridShape(4, 16, 960), GridShape(5, 25, 1100))


def grid_shape(count: int, width: int, height: int) -> GridShape:
    """The smallest grid for `count` tiles in a viewport of this size, or the largest that its width allows."""
    shapes = (_SINGLE, _SIDE_BY_SIDE if width > height else _STACKED, *_LARGER)
    wanted = next((index for index, shape in enumerate(shapes) if shape.capacity >= count), len(shapes) - 1)
    return next(shape for shape in reversed(shapes[: wanted + 1]) if width >= shape.min_width)


def grid_boxes(shape: GridShape, count: int, canvas: Rect, gap: int = 0) -> list[Box]:
    """Boxes of the first `count` tiles (at most the grid's capacity): row by row, the last row left aligned."""
    count = min(count, shape.capacity)
    if count <= 0:
        return []
    rows = math.ceil(count / shape.columns)
    gap = bounded_gap(gap, canvas, shape.columns, rows)
    # Shared edges are computed once, by the same expression for both neighbours.
    width = (canvas.width - gap) / shape.columns
    height = (canvas.height - gap) / rows
    return [
        Box(
            canvas.x + gap + index % shape.columns * width,
            canvas.y + gap + index // shape.columns * height,
            width - gap,
            height - gap,
        )
        for index in range(count)
    ]


def bounded_gap(gap: int, canvas: Rect, columns: int, rows: int) -> int:
    """The gap, but no more than leaves half of each side of the canvas to the tiles."""
    return min(gap, canvas.width // (2 * (columns + 1)), canvas.height // (2 * (rows + 1)))
