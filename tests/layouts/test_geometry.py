"""Boxes and the even pixels they snap to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.layouts.geometry import Box, Rect, even_canvas, nearest_even

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "even"),
    [(0, 0), (0.99, 0), (1, 2), (2.9, 2), (3, 4), (213.33, 214), (266.67, 266), (-0.5, 0), (-1.5, -2), (-3, -2)],
)
def test_nearest_even(value: float, even: int) -> None:
    assert nearest_even(value) == even


def test_noise_of_floating_point_does_not_part_two_boxes_that_touch() -> None:
    third = 639 / 3
    assert 0.1 * 3 * 710 != 213
    assert nearest_even(0.1 * 3 * 710) == nearest_even(third) == nearest_even(third - 1e-9) == 214


def test_snapped_edges_are_even_and_at_most_a_pixel_away() -> None:
    rect = Box(213.33, 133.33, 1066.67, 133.34).snapped()
    assert (rect.x, rect.y, rect.right, rect.bottom) == (214, 134, 1280, 266)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.floats(0, 4000), min_size=3, max_size=3).map(sorted))
def test_boxes_that_share_an_edge_share_it_after_snapping(edges: list[float]) -> None:
    left, middle, right = edges
    first, second = Box(left, 0, middle - left, 10), Box(middle, 0, right - middle, 10)
    assert first.snapped().right == second.snapped().x
    assert abs(first.snapped().x - left) <= 1 + 1e-5


def test_centred() -> None:
    assert Box(10, 20, 100, 50).centred(40, 60) == Box(40, 15, 40, 60)


def test_cut_is_what_both_cover() -> None:
    assert Rect(0, 0, 10, 10).cut(Rect(4, 6, 20, 20)) == Rect(4, 6, 6, 4)
    assert Rect(0, 0, 10, 10).cut(Rect(10, 0, 5, 5)).empty
    assert Rect(0, 0, 4, 4).cut(Rect(20, 20, 4, 4)).empty


def test_inset_never_turns_inside_out() -> None:
    assert Rect(10, 10, 20, 8).inset(2) == Rect(12, 12, 16, 4)
    assert Rect(10, 10, 20, 8).inset(50) == Rect(14, 14, 12, 0)


def test_an_odd_last_column_stays_out_of_the_canvas() -> None:
    assert even_canvas(1281, 719) == Rect(0, 0, 1280, 718)
    assert even_canvas(1280, 720) == Rect(0, 0, 1280, 720)
