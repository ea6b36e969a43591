"""Name labels and initials."""

from __future__ import annotations

import pytest

from pyegress.layouts.geometry import Box, Rect
from pyegress.layouts.label import initials_of, label_in

pytestmark = pytest.mark.unit


def test_a_label_lies_in_the_bottom_left_corner() -> None:
    label = label_in(Box(640, 0, 640, 360), Rect(640, 0, 640, 360), "Ana")
    assert label is not None
    assert label.text == "Ana"
    assert label.size == 18
    assert label.area == Rect(650, 322, 620, 28)
    assert label.padding == 9


@pytest.mark.parametrize(("height", "size"), [(75, 12), (360, 18), (720, 28), (1080, 28)])
def test_the_font_follows_the_tile_within_bounds(height: int, size: int) -> None:
    label = label_in(Box(0, 0, 600, height), Rect(0, 0, 600, height), "Ana")
    assert label is not None
    assert label.size == size


def test_a_cut_tile_has_its_label_where_it_is_seen() -> None:
    label = label_in(Box(0, 600, 213, 133), Rect(0, 600, 214, 60), "Ana")
    assert label is not None
    assert label.area.bottom <= 660


def test_no_label_where_there_is_no_room_or_no_text() -> None:
    assert label_in(Box(0, 0, 20, 200), Rect(0, 0, 20, 200), "Ana") is None
    assert label_in(Box(0, 600, 213, 133), Rect(0, 600, 214, 10), "Ana") is None
    assert label_in(Box(0, 0, 640, 360), Rect(0, 0, 640, 360), "") is None


def test_endless_names_are_cut() -> None:
    label = label_in(Box(0, 0, 640, 360), Rect(0, 0, 640, 360), "x" * 10_000)
    assert label is not None
    assert len(label.text) == 80


@pytest.mark.parametrize(
    ("name", "initials"),
    [
        ("Ana de Souza", "AS"),
        ("ana", "A"),
        ("user-42", "U4"),
        ("jean_luc", "JL"),
        ("  (Bob)  ", "B"),
        ("Ωmega ßeta", "ΩS"),
        ("李 小龍", "李小"),
        ("!!!", "?"),
        ("", "?"),
    ],
)
def test_initials(name: str, initials: str) -> None:
    assert initials_of(name) == initials
