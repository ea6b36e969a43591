"""Which frame is shown at which tick, in simulated time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.media.pacing import STICKY_REACH, Pacer

pytestmark = pytest.mark.unit

FPS = 30
PERIOD = 1 / FPS


@dataclass(frozen=True)
class Shown:
    """Index of the frame shown at each tick, from the first one on, and its lead over the tick in seconds."""

    indexes: list[int]
    leads: list[float]

    @property
    def missing(self) -> int:
        return self.indexes[-1] - self.indexes[0] + 1 - len(set(self.indexes))

    @property
    def repeated(self) -> int:
        return sum(before == after for before, after in zip(self.indexes, self.indexes[1:], strict=False))

    @property
    def mean_lead(self) -> float:
        return sum(self.leads) / len(self.leads)


def play(captures: Sequence[float], *, until: float, arrivals: Sequence[float] | None = None, fps: int = FPS) -> Shown:
    """Ticks from 0; a frame may be taken as soon as it has arrived, by default 0.2 s ahead of its capture time."""
    arrivals = arrivals or [capture - 0.2 for capture in captures]
    pacer, taken, there = Pacer(1 / fps), 0, 0
    indexes, leads = [], []
    for number in range(round(until * fps)):
        tick = number / fps
        while there < len(captures) and arrivals[there] <= tick:
            there += 1
        taken += pacer.due(tick, captures[taken:there])
        if taken:
            indexes.append(taken - 1)
            leads.append(captures[taken - 1] - tick)
    return Shown(indexes, leads)


def source(rate: float, seconds: float, *, phase: float = 0.0, jitter: float = 0.0, seed: int = 0) -> list[float]:
    """Capture times of a camera, somewhat beyond `seconds`."""
    noise = random.Random(seed)
    count = round((seconds + 1) * rate)
    return sorted(phase + number / rate + noise.uniform(-jitter, jitter) for number in range(count))


@settings(max_examples=150, deadline=None)
@given(phase=st.floats(0, PERIOD), jitter=st.floats(0, 0.010), seed=st.integers(0, 1000))
def test_the_output_frame_rate_loses_and_repeats_nothing_at_any_phase(phase: float, jitter: float, seed: int) -> None:
    shown = play(source(30, 5, phase=phase, jitter=jitter, seed=seed), until=5)
    assert (shown.missing, shown.repeated) == (0, 0)
    assert max(map(abs, shown.leads)) <= PERIOD * STICKY_REACH + 1e-9


@settings(max_examples=60, deadline=None)
@given(rate=st.sampled_from([5.0, 12.0, 15.0, 20.0, 24.0, 25.0]), phase=st.floats(0, 0.2), seed=st.integers(0, 1000))
def test_slower_sources_are_shown_whole_and_on_time(rate: float, phase: float, seed: int) -> None:
    shown = play(source(rate, 10, phase=phase, jitter=0.008, seed=seed), until=10)
    assert shown.missing == 0
    # As early as half a period, and as late as the next frame lets it be.
    assert max(shown.leads) <= PERIOD * STICKY_REACH
    assert min(shown.leads) >= -(1 / rate + PERIOD)


@settings(max_examples=60, deadline=None)
@given(rate=st.sampled_from([48.0, 50.0, 60.0, 120.0]), phase=st.floats(0, PERIOD), seed=st.integers(0, 1000))
def test_faster_sources_show_another_frame_at_every_tick(rate: float, phase: float, seed: int) -> None:
    shown = play(source(rate, 10, phase=phase, jitter=0.3 / rate, seed=seed), until=10)
    assert shown.repeated <= 2  # before the rate is known
    assert abs(shown.mean_lead) < PERIOD / 2


@pytest.mark.parametrize("fps", [15, 24, 25, 30, 50, 60])
def test_every_output_rate_takes_its_own_rate_whole(fps: int) -> None:
    for tenth in range(10):
        captures = source(fps, 5, phase=tenth / 10 / fps, jitter=0.25 / fps, seed=tenth)
        shown = play(captures, until=5, fps=fps)
        assert (shown.missing, shown.repeated) == (0, 0), (fps, tenth)


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_clock_that_is_off_costs_what_arithmetic_demands(ppm: int) -> None:
    seconds = 600
    captures = [capture * (1 + ppm * 1e-6) for capture in source(30, seconds, phase=0.01, jitter=0.003)]
    shown = play(captures, until=seconds)
    demanded = seconds * FPS * abs(ppm) * 1e-6  # 3.6 frames
    slips = shown.repeated if ppm > 0 else shown.missing
    assert slips <= demanded + 1
    assert (shown.missing if ppm > 0 else shown.repeated) == 0
    assert max(map(abs, shown.leads)) <= PERIOD * STICKY_REACH + 1e-9


def test_lost_frames_leave_the_others_at_their_ticks() -> None:
    captures = source(30, 5, phase=0.010, jitter=0.005)
    whole = play(captures, until=5)
    kept = [capture for number, capture in enumerate(captures) if number % 7 != 3]
    shown = play(kept, until=5)
    lead_of = {captures[index]: lead for index, lead in zip(whole.indexes, whole.leads, strict=True)}
    seen = dict[int, float]()
    for index, lead in zip(shown.indexes, shown.leads, strict=True):
        seen.setdefault(index, lead)
    assert all(lead == pytest.approx(lead_of[kept[index]]) for index, lead in seen.items())
    assert shown.missing == 0


def test_a_gap_holds_the_last_frame_and_goes_on_at_once() -> None:
    captures = [capture for capture in source(30, 10, phase=0.01) if not 3 < capture < 7]
    shown = play(captures, until=10)
    assert shown.missing == 0
    assert shown.repeated == pytest.approx(4 * FPS, abs=2)
    resumed = shown.indexes.index(next(number for number, capture in enumerate(captures) if capture >= 7))
    assert abs(shown.leads[resumed]) <= PERIOD / 2 + 1e-9


def test_a_burst_after_a_stall_is_caught_up_in_one_tick() -> None:
    captures = source(30, 6, phase=0.01)
    arrivals = [max(capture - 0.2, 4.0) if 2 < capture < 4.2 else capture - 0.2 for capture in captures]
    shown = play(captures, until=6, arrivals=arrivals)
    late = [lead for tick, lead in enumerate(shown.leads) if tick >= 4 * FPS + 1]
    assert min(late) >= -PERIOD * STICKY_REACH


def test_it_holds_what_comes_too_early() -> None:
    pacer = Pacer(PERIOD)
    assert pacer.due(0.0, [5.0]) == 0
    assert pacer.due(5.0, [5.0]) == 1


def test_after_a_restart_it_begins_at_the_nearest_tick() -> None:
    pacer = Pacer(PERIOD)
    assert pacer.due(0.0, [0.0]) == 1
    assert pacer.due(PERIOD, [PERIOD * 2.1]) == 1  # sticks to the next tick
    pacer.restart()
    assert pacer.due(PERIOD * 2, [PERIOD * 3.1]) == 0


def test_a_period_has_to_be_positive() -> None:
    with pytest.raises(ValueError, match="no output"):
        Pacer(0.0)
