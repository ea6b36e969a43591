"""What is left out when the machine cannot keep up."""

from __future__ import annotations

import itertools

import pytest

from pyegress.media.thinning import LAG_STEP, MAX_STRIDE, Thinning

pytestmark = pytest.mark.unit


def run(cost: float, seconds: float, thinning: Thinning) -> tuple[list[int], float]:
    """The ticks drawn on a machine that needs `cost` seconds for a picture, at 30 pictures per second; the last lag."""
    now, tick, lag = 0.0, 0, 0.0
    drawn: list[int] = []
    while (due := tick / 30) < seconds:
        now = max(now, due)
        lag = now - due
        if thinning.takes(tick, lag):
            drawn.append(tick)
            now += cost
        tick += 1
    return drawn, lag


def test_a_machine_that_keeps_up_draws_everything() -> None:
    thinning = Thinning()
    drawn, _ = run(0.030, 60.0, thinning)
    assert drawn == list(range(1800))
    assert thinning.dropped == 0


def test_a_short_hiccup_costs_nothing() -> None:
    thinning = Thinning()
    assert all(thinning.takes(tick, LAG_STEP * 0.9) for tick in range(100))


@pytest.mark.parametrize("factor", [1.2, 1.8, 2.5, 4.0])
def test_a_machine_that_is_too_slow_leaves_out_evenly_and_stays_close(factor: float) -> None:
    thinning = Thinning()
    drawn, lag = run(factor / 30, 120.0, thinning)
    assert lag < LAG_STEP * (MAX_STRIDE + 1)
    assert thinning.dropped == 3600 - len(drawn)
    assert max(b - a for a, b in itertools.pairwise(drawn)) <= MAX_STRIDE
