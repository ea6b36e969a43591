from __future__ import annotations

from itertools import pairwise

import pytest

from pyegress.media.rhythm import Rhythm

pytestmark = pytest.mark.unit


def ticks(interval: float, rate: int, until: float) -> list[int]:
    rhythm = Rhythm(interval, rate)
    return [tick for tick in range(round(until * rate)) if rhythm.falls_on(tick)]


@pytest.mark.parametrize(
    ("interval", "rate", "expected"),
    [
        (2.0, 30, [0, 60, 120, 180]),
        (0.5, 15, [0, 8, 15, 23, 30, 38, 45, 53, 60, 68, 75, 83, 90, 98, 105, 113]),
        (0.1, 30, list(range(0, 240, 3))),
        (8 / 3, 30, [0, 80, 160]),
        (0.01, 30, list(range(240))),
    ],
)
def test_each_time_falls_on_one_tick(interval: float, rate: int, expected: list[int]) -> None:
    assert ticks(interval, rate, 8.0) == expected


@pytest.mark.parametrize("interval", [0.7, 1.001, 1.37, 2.9, 4 / 3, 1e-9 + 2])
@pytest.mark.parametrize("rate", [7, 24, 30, 60])
def test_it_never_drifts(interval: float, rate: int) -> None:
    """Hours later each time is still at the nearest tick, and none is left out."""
    rhythm = Rhythm(interval, rate)
    begin = round(10_000 * interval * rate) - 1
    found = [tick for tick in range(begin, begin + round(100 * interval * rate)) if rhythm.falls_on(tick)]
    for number, tick in enumerate(found, 10_000):
        assert abs(tick / rate - number * interval) <= 0.5 / rate + 1e-6 * number
    assert len(found) == 100
    assert max(b - a for a, b in pairwise(found)) <= rhythm.longest
