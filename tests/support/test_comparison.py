from __future__ import annotations

import pytest

from tests.support.comparison import Lost, lost_frames

pytestmark = pytest.mark.unit


def frames(*numbers: int) -> list[list[bytes]]:
    return [[bytes([number % 256])] for number in numbers]


def test_nothing_is_lost() -> None:
    assert lost_frames(frames(*range(10, 50)), frames(*range(60))) == Lost(40, 0)


def test_frames_that_are_missing_are_counted() -> None:
    had = [number for number in range(10, 50) if number not in (20, 30, 31)]
    assert lost_frames(frames(*had), frames(*range(60))) == Lost(40, 3)
    assert lost_frames(frames(*had), frames(*range(60))).present == pytest.approx(37 / 40)


def test_a_repetition_is_not_taken_for_a_missing_frame() -> None:
    there = [*range(200), *range(200)]
    had = [*range(5, 100), *range(101, 200), *range(50)]
    assert lost_frames(frames(*had), frames(*there)) == Lost(245, 1)


def test_nothing_in_common() -> None:
    assert lost_frames(frames(1, 2), frames(3, 4)).present == 0.0
    assert lost_frames([], frames(3, 4)).present == 0.0
