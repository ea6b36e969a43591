"""The grid's shapes and boxes against the numbers measured in Chromium."""

from __future__ import annotations

import pytest

from pyegress.layouts.geometry import Box, Rect
from pyegress.layouts.grid import GridShape, bounded_gap, grid_boxes, grid_shape

pytestmark = pytest.mark.unit

#: columns and capacity for 1, 2, ... 30 tiles
WIDE = [(1, 1), (2, 2), *[(2, 4)] * 2, *[(3, 9)] * 5, *[(4, 16)] * 7, *[(5, 25)] * 14]
SHAPES = {
    (1280, 720): WIDE,
    (1920, 1080): WIDE,
    (720, 1280): [(1, 1), (1, 2), *[(2, 4)] * 2, *[(3, 9)] * 26],
    (640, 360): [(1, 1), (2, 2), *[(2, 4)] * 28],
    (1080, 1920): [(1, 1), (1, 2), *[(2, 4)] * 2, *[(3, 9)] * 5, *[(4, 16)] * 21],
    (500, 500): [(1, 1), *[(1, 2)] * 29],
}


def boxes(count: int, width: int, height: int, gap: int = 0) -> list[Box]:
    return grid_boxes(grid_shape(count, width, height), count, Rect(0, 0, width, height), gap)


@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_columns_and_capacity_for_1_to_30_tiles(size: tuple[int, int]) -> None:
    shapes = [grid_shape(count, *size) for count in range(1, 31)]
    assert [(shape.columns, shape.capacity) for shape in shapes] == SHAPES[size]


def test_the_width_a_grid_needs_is_enough_at_that_width() -> None:
    for width, columns in [(559, 1), (560, 2), (699, 2), (700, 3), (959, 3), (960, 4), (1099, 4), (1100, 5)]:
        assert grid_shape(25, width, 2000).columns == columns


def test_three_tiles_leave_the_fourth_cell_empty() -> None:
    assert boxes(3, 1280, 720) == [Box(0, 0, 640, 360), Box(640, 0, 640, 360), Box(0, 360, 640, 360)]


def test_five_tiles_use_two_rows() -> None:
    cells = boxes(5, 1280, 720)
    assert cells[0] == Box(0, 0, pytest.approx(426.67, abs=0.01), 360)  # type: ignore[arg-type]
    assert [(round(cell.x), cell.y) for cell in cells] == [(0, 0), (427, 0), (853, 0), (0, 360), (427, 360)]
    assert [cell.snapped().x for cell in cells[:3]] == [0, 426, 854]


def test_ten_tiles_are_four_by_three() -> None:
    cells = boxes(10, 1280, 720)
    assert {(cell.width, cell.height) for cell in cells} == {(320, 240)}
    assert (cells[9].x, cells[9].y) == (320, 480)


def test_two_tiles_lie_side_by_side_or_one_above_the_other() -> None:
    assert boxes(2, 640, 360) == [Box(0, 0, 320, 360), Box(320, 0, 320, 360)]
    assert boxes(2, 720, 1280) == [Box(0, 0, 720, 640), Box(0, 640, 720, 640)]
    assert boxes(2, 720, 720) == [Box(0, 0, 720, 360), Box(0, 360, 720, 360)]


def test_nobody_and_too_many() -> None:
    assert boxes(0, 1280, 720) == []
    assert len(boxes(30, 1280, 720)) == 25
    assert len(boxes(30, 640, 360)) == 4


def test_a_gap_lies_between_and_around_the_tiles() -> None:
    cells = boxes(4, 1280, 720, gap=8)
    assert [cell.snapped() for cell in cells] == [
        Rect(8, 8, 628, 348),
        Rect(644, 8, 628, 348),
        Rect(8, 364, 628, 348),
        Rect(644, 364, 628, 348),
    ]


def test_a_gap_leaves_half_of_each_side() -> None:
    assert bounded_gap(200, Rect(0, 0, 640, 360), 2, 2) == 60
    cells = grid_boxes(GridShape(5, 25), 25, Rect(0, 0, 1280, 720), 200)
    assert min(cell.height for cell in cells) >= 720 / 2 / 5
