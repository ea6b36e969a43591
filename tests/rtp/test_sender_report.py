"""RTP time to the sender's wall clock."""

from __future__ import annotations

from random import Random

import pytest

from pyegress.clock import Wall
from pyegress.codecs import Kind
from pyegress.rtp.sender_report import SenderClock

pytestmark = pytest.mark.unit

EPOCH = 1_760_000_000.0
BASE = 7_000_000_000


def report(clock: SenderClock, rate: int, seconds: float, error: float = 0.0, drift: float = 0.0) -> None:
    """A report at `seconds`, wrong by `error`; the RTP clock is fast by `drift`."""
    clock.add(Wall(EPOCH + seconds + error), BASE + round(seconds * (1 + drift) * rate))


def test_nothing_is_known_before_the_first_report_and_all_with_it() -> None:
    clock = SenderClock(90_000, Kind.VIDEO)
    assert clock.wall_of(BASE) is None
    assert clock.timestamp_of(Wall(EPOCH)) is None
    report(clock, 90_000, 0.0)
    assert clock.reports == 1
    assert clock.wall_of(BASE + 90_000) == pytest.approx(EPOCH + 1.0, abs=1e-6)
    assert clock.wall_of(BASE - 9_000) == pytest.approx(EPOCH - 0.1, abs=1e-6)
    assert clock.timestamp_of(Wall(EPOCH + 1.0)) == BASE + 90_000


@pytest.mark.parametrize(
    ("kind", "rate", "wander", "within"),
    [(Kind.VIDEO, 90_000, 0.001, 0.001), (Kind.AUDIO, 48_000, 0.011, 0.006)],
)
def test_the_wandering_of_reports_is_smoothed(kind: Kind, rate: int, wander: float, within: float) -> None:
    random = Random(1)
    clock = SenderClock(rate, kind)
    errors = []
    previous = 0.0
    steps = []
    for number in range(400):
        seconds = number * 3.0
        report(clock, rate, seconds, random.uniform(-wander, wander))
        wall = clock.wall_of(BASE + round(seconds * rate))
        assert wall is not None
        if number >= 10:
            errors.append(abs(wall - EPOCH - seconds))
            steps.append(abs(wall - EPOCH - seconds - previous))
        previous = wall - EPOCH - seconds
    assert max(errors) <= within
    assert max(steps) <= wander / 2, "the mapping moves by less than the reports do"


@pytest.mark.parametrize(("kind", "rate"), [(Kind.VIDEO, 90_000), (Kind.AUDIO, 48_000)])
def test_drift_is_followed(kind: Kind, rate: int) -> None:
    clock = SenderClock(rate, kind)
    for number in range(1200):
        report(clock, rate, number * 3.0, drift=100e-6)
    wall = clock.wall_of(BASE + round(1199 * 3.0 * (1 + 100e-6) * rate))
    assert wall is not None
    assert abs(wall - EPOCH - 1199 * 3.0) <= 0.005


@pytest.mark.parametrize(("kind", "rate"), [(Kind.VIDEO, 90_000), (Kind.AUDIO, 48_000)])
def test_one_wrong_report_is_ignored(kind: Kind, rate: int) -> None:
    clock = SenderClock(rate, kind)
    for number in range(10):
        report(clock, rate, number * 3.0)
    report(clock, rate, 30.0, error=-4.0)
    assert clock.wall_of(BASE) == pytest.approx(EPOCH, abs=1e-6)
    report(clock, rate, 33.0)
    report(clock, rate, 36.0, error=2.0)
    assert clock.wall_of(BASE) == pytest.approx(EPOCH, abs=1e-6)
    assert clock.reports == 13


@pytest.mark.parametrize(("kind", "rate"), [(Kind.VIDEO, 90_000), (Kind.AUDIO, 48_000)])
def test_wrong_reports_in_a_row_are_outvoted(kind: Kind, rate: int) -> None:
    clock = SenderClock(rate, kind)
    for number in range(3):
        report(clock, rate, number * 3.0)
    for number in range(3, 5):
        report(clock, rate, number * 3.0, error=0.257)
        assert clock.wall_of(BASE) == pytest.approx(EPOCH, abs=1e-6), "a sender that was held up"
    report(clock, rate, 15.0)
    assert clock.wall_of(BASE) == pytest.approx(EPOCH, abs=1e-6)


@pytest.mark.parametrize(("kind", "rate"), [(Kind.VIDEO, 90_000), (Kind.AUDIO, 48_000)])
def test_a_step_of_the_clock_is_followed_when_most_reports_show_it(kind: Kind, rate: int) -> None:
    clock = SenderClock(rate, kind)
    for number in range(20):
        report(clock, rate, number * 3.0)
    for number in range(20, 26):
        assert clock.wall_of(BASE) == pytest.approx(EPOCH, abs=1e-6)
        report(clock, rate, number * 3.0, error=5.0)
    assert clock.wall_of(BASE) == pytest.approx(EPOCH + 5.0, abs=1e-6)


@pytest.mark.parametrize("drift", [200e-6, -200e-6])
def test_the_drift_of_a_sound_card_is_known_after_a_minute(drift: float) -> None:
    random = Random(4)
    clock = SenderClock(48_000, Kind.AUDIO)
    worst = 0.0
    for number in range(300):
        report(clock, 48_000, number * 3.0, random.uniform(-0.002, 0.002), drift)
        if number > 25:
            for ahead in (0.0, 2.9):
                seconds = number * 3.0 + ahead
                rtp = BASE + round(seconds * (1 + drift) * 48_000)
                wall = clock.wall_of(rtp)
                assert wall is not None
                worst = max(worst, abs(wall - EPOCH - seconds))
                assert clock.timestamp_of(wall) == pytest.approx(rtp, abs=1)
    assert worst < 0.002, "without it: 3 ms behind"


@pytest.mark.parametrize("number_wrong", [1, 3, 5])
def test_wrong_reports_are_outvoted_while_clocks_drift(number_wrong: int) -> None:
    drift = 200e-6
    clock = SenderClock(48_000, Kind.AUDIO)
    for number in range(60):
        wrong = 0.3 if 40 <= number < 40 + number_wrong else 0.0
        report(clock, 48_000, number * 3.0, wrong, drift)
        if number > 30:
            wall = clock.wall_of(BASE + round(number * 3.0 * (1 + drift) * 48_000))
            assert wall == pytest.approx(EPOCH + number * 3.0, abs=0.002)


def test_a_step_of_the_clock_is_followed_while_it_drifts() -> None:
    drift = -200e-6
    clock = SenderClock(90_000, Kind.VIDEO)
    for number in range(90):
        report(clock, 90_000, number * 3.0, 5.0 if number >= 40 else 0.0, drift)
        wall = clock.wall_of(BASE + round(number * 3.0 * (1 + drift) * 90_000))
        step = 5.0 if number >= 45 else 0.0
        assert wall == pytest.approx(EPOCH + number * 3.0 + step, abs=0.008)
    assert wall == pytest.approx(EPOCH + 89 * 3.0 + 5.0, abs=0.001)


def test_reports_that_jump_about_are_no_drift() -> None:
    random = Random(8)
    clock = SenderClock(90_000, Kind.VIDEO)
    for number in range(200):
        report(clock, 90_000, number * 3.0, random.choice([-0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.7]))
        if number > 10:
            wall = clock.wall_of(BASE + round(number * 3.0 * 90_000))
            assert wall == pytest.approx(EPOCH + number * 3.0, abs=0.004)


def test_a_wrong_first_report_is_outvoted() -> None:
    clock = SenderClock(90_000, Kind.VIDEO)
    report(clock, 90_000, 0.0, error=-1.0)
    report(clock, 90_000, 3.0)
    report(clock, 90_000, 6.0)
    assert clock.wall_of(BASE) == pytest.approx(EPOCH, abs=1e-6)


def test_a_new_line_of_timestamps_begins_anew() -> None:
    clock = SenderClock(90_000, Kind.VIDEO)
    report(clock, 90_000, 0.0)
    clock.reset()
    assert clock.wall_of(BASE) is None
    clock.add(Wall(EPOCH + 10), 5 * BASE)
    assert clock.wall_of(5 * BASE) == EPOCH + 10
    assert clock.reports == 2
