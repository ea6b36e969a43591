"""Extended sequence numbers and timestamps: wraps in both directions, restarts, long silences."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.clock import Monotonic
from pyegress.rtp.sequence import MAX_DROPOUT, SequenceExtender, TimestampExtender

pytestmark = pytest.mark.unit

CYCLE = 1 << 16
LAP = 1 << 32


def test_numbers_wrap_forward_and_a_reordered_one_goes_back() -> None:
    numbers = SequenceExtender()
    start = numbers.extend(65_534)
    assert start is not None
    assert start % CYCLE == 65_534
    given_ = [65_535, 1, 0, 65_533, 2, 65_535]
    assert [numbers.extend(number) for number in given_] == [start + d for d in (1, 3, 2, -1, 4, 1)]
    assert numbers.highest == start + 4


def test_numbers_before_the_first_one_are_not_negative() -> None:
    numbers = SequenceExtender()
    first = numbers.extend(0)
    before = numbers.extend(65_535)
    assert first is not None
    assert before == first - 1
    assert before > 0


@settings(max_examples=100, derandomize=True, deadline=None)
@given(first=st.integers(0, 0xFFFF), seed=st.integers(0, 1000), spread=st.integers(1, 2000))
def test_no_order_makes_a_number_jump_a_cycle(first: int, seed: int, spread: int) -> None:
    random = Random(seed)
    true = sorted(range(first, first + 70_000, 70), key=lambda n: n + random.uniform(0, spread))
    numbers = SequenceExtender()
    origin = numbers.extend(true[0] & 0xFFFF)
    assert origin is not None
    for number in true:
        assert numbers.extend(number & 0xFFFF) == origin + number - true[0]


def test_a_far_number_is_refused_and_the_line_goes_on() -> None:
    numbers = SequenceExtender()
    start = numbers.extend(100)
    assert start is not None
    assert numbers.extend(100 + MAX_DROPOUT + 1) is None
    assert not numbers.restarts(100 + MAX_DROPOUT + 1)
    assert numbers.extend(101) == start + 1
    assert numbers.extend(40_000) is None
    assert not numbers.restarts(40_000), "the two far numbers had a good one between them"
    assert numbers.extend(101 + MAX_DROPOUT) == start + 1 + MAX_DROPOUT


@pytest.mark.parametrize("far", [40_000, 90, 65_530])
def test_two_far_numbers_in_a_row_restart_the_line_above_the_old_one(far: int) -> None:
    numbers = SequenceExtender()
    start = numbers.extend(20_000)
    assert start is not None
    assert numbers.extend(far) is None
    assert not numbers.restarts(far)
    assert numbers.extend((far + 2) & 0xFFFF) is None
    assert numbers.restarts((far + 2) & 0xFFFF)
    restarted = numbers.restart(far)
    assert restarted % CYCLE == far
    assert restarted >= start + CYCLE
    assert numbers.extend((far + 2) & 0xFFFF) == restarted + 2


def test_timestamps_wrap_forward_and_a_reordered_one_goes_back() -> None:
    line = TimestampExtender(90_000)
    start = line.extend(LAP - 3000, Monotonic(0.0))
    assert start % LAP == LAP - 3000
    assert line.extend(0, Monotonic(0.1)) == start + 3000
    assert line.extend(LAP - 3000, Monotonic(0.2)) == start
    assert line.extend(3000, Monotonic(0.3)) == start + 6000
    assert line.newest == start + 6000
    assert line.nearest(LAP - 6000, Monotonic(0.3)) == start - 3000


@pytest.mark.parametrize("hours", [1.5, 7.0, 20.0, 100.0])
def test_after_a_long_silence_the_clock_tells_the_cycle(hours: float) -> None:
    line = TimestampExtender(90_000)
    start = line.extend(5000, Monotonic(10.0))
    ticks = int(hours * 3600 * 90_000) + 1234
    assert line.extend((5000 + ticks) % LAP, Monotonic(10.0 + hours * 3600)) == start + ticks


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        pytest.param(1_003_000, 3000, id="goes_on"),
        pytest.param(997_000, -3000, id="a_little_back_is_the_same_line"),
        pytest.param(3_000_000_000, 2_999_000_000, id="far_ahead"),
        pytest.param(0, LAP - 1_000_000, id="back_means_forward"),
    ],
)
def test_a_restart_never_goes_back(timestamp: int, expected: int) -> None:
    line = TimestampExtender(90_000)
    start = line.extend(1_000_000, Monotonic(0.0))
    restarted = line.restart(timestamp, Monotonic(0.1))
    assert restarted % LAP == timestamp
    if timestamp == 3_000_000_000:  # nearer backwards, so a cycle is added
        expected = 2_999_000_000
    assert restarted - start == expected
