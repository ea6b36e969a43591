"""Screens that draw at known moments, captured by a clock that only waiting moves."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pyegress.media.capture_pictures import CapturePictures
from pyegress.media.encoder_thread import EncoderThread
from pyegress.media.engine_messages import EngineStats
from pyegress.media.planes import planes_of

pytestmark = pytest.mark.media

_SIZE = 16


@dataclass
class SimulatedScreen:
    """Draws its n-th picture, of luma that tells n, at `times[n]`. `late` is how late the thread wakes up."""

    times: list[float]
    late: Callable[[], float] = lambda: 0.0005
    now: float = 0.0
    seen: float = -1.0
    width: int = _SIZE
    height: int = _SIZE
    grabs: int = 0

    def clock(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds + self.late()

    def wait(self, timeout: float) -> bool:
        due = next((at for at in self.times if at > self.seen), float("inf"))
        if due <= self.now:
            return True
        if due <= self.now + timeout:
            self.now = due + self.late()
            return True
        self.now += timeout + self.late()
        return False

    def reset(self) -> None:
        self.seen = self.now

    @property
    def pixels(self) -> NDArray[np.uint8]:
        self.grabs += 1
        shown = sum(at <= self.now for at in self.times)
        self.now += 0.001
        low, high = (
            bytes((digit * 16, digit * 16, digit * 16, 0)) * (_SIZE // 2) for digit in (shown % 16, shown // 16)
        )
        return np.frombuffer((low + high) * _SIZE, np.uint8).reshape(_SIZE, _SIZE, 4)

    def untouched(self) -> bool:
        return not any(self.seen < at <= self.now for at in self.times)

    def close(self) -> None:
        pass


@dataclass
class Taken:
    """Stands in for the encoder's thread: which picture was encoded at which tick."""

    pictures: list[tuple[int, int]] = field(default_factory=list)

    def due(self, tick: int) -> bool:
        return False

    def submit(self, picture: av.VideoFrame, tick: int) -> None:
        luma = planes_of(picture).luma
        low, high = (round((float(half.mean()) - 16) / 219 * 255 / 16) for half in np.split(luma, 2, axis=1))
        self.pictures.append((tick, high * 16 + low))


def captured(screen: SimulatedScreen, rate: int, seconds: float) -> list[int]:
    """The number of the picture at each tick."""
    taken = Taken()
    side = CapturePictures(
        screen, rate, cast(EncoderThread, taken), [], EngineStats(), now=screen.clock, rest=screen.rest
    )
    side.begin()
    while side.rendered < seconds:
        side.step()
    assert [tick for tick, _ in taken.pictures] == list(range(len(taken.pictures)))
    return [number for _, number in taken.pictures]


def steps(numbers: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(numbers)]


@pytest.mark.parametrize("phase", [0.0, 0.004, 0.0165, 0.03])
@pytest.mark.parametrize("rate", [30, 60])
def test_a_page_that_draws_at_the_rate_of_the_output_is_seen_picture_by_picture(rate: int, phase: float) -> None:
    """Whatever its phase, and although it draws, and we wake up, some milliseconds early or late."""
    chance = random.Random(rate * 1000 + phase)
    jitter = 0.15 / rate
    times = [phase + n / rate + chance.uniform(-jitter, jitter) for n in range(3 * rate)]
    screen = SimulatedScreen(sorted(times), late=lambda: chance.uniform(0.0, 0.1 / rate))
    changes = steps(captured(screen, rate, 2.5)[5:])
    assert changes.count(1) >= 0.97 * len(changes), changes
    assert screen.grabs <= 2.6 * rate


@pytest.mark.parametrize("phase", [0.0, 0.0017, 0.0133, 0.0166])
def test_pictures_that_fall_between_two_of_the_display_are_all_seen(phase: float) -> None:
    """A video's, which are drawn at the display's next picture: some stay for one of these, some for three."""
    chance = random.Random(phase)
    drawn = [math.ceil((n / 30 + phase + chance.uniform(-0.004, 0.004)) * 60) / 60 for n in range(120)]
    screen = SimulatedScreen(sorted(drawn), late=lambda: chance.uniform(0.0, 0.001))
    changes = steps(captured(screen, 30, 3.5)[5:])
    assert changes.count(1) >= 0.97 * len(changes), changes
    assert screen.grabs <= 31 * 3.5


def test_of_a_page_that_draws_twice_as_fast_every_other_picture_is_taken() -> None:
    screen = SimulatedScreen([n / 60 for n in range(200)])
    changes = steps(captured(screen, 30, 2.5)[5:])
    assert changes.count(2) >= len(changes) - 1, changes
    assert screen.grabs <= 2.7 * 30


def test_a_page_that_stands_still_costs_no_look_and_its_last_picture_is_seen() -> None:
    """Also one that was drawn just after another."""
    screen = SimulatedScreen([0.5, 0.508])
    numbers = captured(screen, 30, 2.0)
    assert numbers[0] == 0
    assert numbers[-1] == 2
    assert numbers.index(2) <= 0.6 * 30
    assert screen.grabs <= 4


def test_what_is_drawn_while_a_picture_is_read_is_read_again() -> None:
    """Half of one and half of the other picture would be seen."""
    screen = SimulatedScreen([0.5, 0.501])
    numbers = captured(screen, 30, 1.0)
    assert sorted(set(numbers)) == [0, 2]
    assert screen.grabs == 3


def test_slow_pages_are_seen_when_they_draw() -> None:
    screen = SimulatedScreen([n / 10 for n in range(40)])
    numbers = captured(screen, 30, 3.0)
    assert set(steps(numbers)) <= {0, 1}
    assert sum(steps(numbers)) >= 28


def test_a_thread_that_was_away_renders_every_tick() -> None:
    screen = SimulatedScreen([n / 30 for n in range(100)])
    away = iter([*[0.0005] * 20, 0.4])
    screen.late = lambda: next(away, 0.0005)
    numbers = captured(screen, 30, 2.5)
    assert len(numbers) >= 75
    assert all(step >= 0 for step in steps(numbers))
    assert np.diff(numbers).max() <= 15
