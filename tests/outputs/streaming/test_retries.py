from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.outputs.streaming.retries import BACK_OFF, PROBATION, STEADY, RetryBudget

pytestmark = pytest.mark.unit


def at(seconds: float) -> Monotonic:
    return Monotonic(seconds)


def fail_until_given_up(budget: RetryBudget, now: float) -> tuple[list[float], float]:
    """The delays, and when it was given up."""
    delays: list[float] = []
    while (delay := budget.failed(at(now))) is not None:
        delays.append(delay)
        now += delay
    return delays, now


def test_what_never_took_anything_is_not_tried_again() -> None:
    assert RetryBudget(60.0).failed(at(0.0)) is None


def test_a_good_destination_is_tried_for_the_whole_window() -> None:
    budget = RetryBudget(30.0)
    budget.accepted(at(0.0))
    budget.progress(at(STEADY))
    delays, end = fail_until_given_up(budget, 100.0)
    assert end == 130.0
    assert tuple(delays[: len(BACK_OFF)]) == BACK_OFF
    assert max(delays) == BACK_OFF[-1]


def test_progress_renews_the_window() -> None:
    budget = RetryBudget(10.0)
    budget.accepted(at(0.0))
    budget.progress(at(6.0))
    assert budget.failed(at(7.0)) == BACK_OFF[0]
    budget.accepted(at(8.0))
    budget.progress(at(9.0))
    # Not steady yet: the window of the first loss goes on.
    assert budget.failed(at(10.0)) == BACK_OFF[1]
    budget.accepted(at(11.0))
    budget.progress(at(16.0))
    assert fail_until_given_up(budget, 20.0)[1] == 30.0


def test_who_accepts_and_hangs_up_is_given_up_soon() -> None:
    budget = RetryBudget(60.0)
    now, attempts = 0.0, 0
    while True:
        budget.accepted(at(now))
        delay = budget.failed(at(now + 0.1))
        if delay is None:
            break
        now += 0.1 + delay
        attempts += 1
    assert 3 <= attempts <= 8
    assert now <= PROBATION + 1.0


def test_no_window_no_retry() -> None:
    budget = RetryBudget(0.0)
    budget.accepted(at(0.0))
    budget.progress(at(100.0))
    assert budget.failed(at(101.0)) is None
