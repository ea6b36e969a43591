from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from numpy.typing import NDArray

from pyegress.clock import Monotonic
from pyegress.media.capture_sound import CaptureSound

pytestmark = pytest.mark.unit

RATE = 48_000


class Blocks:
    """Sound whose sample n is n: blocks with the moments at which they came."""

    def __init__(self, origin: float, size: int, count: int, late: float = 0.0003) -> None:
        self._blocks = deque(
            (number * size, size, Monotonic(origin + number * size / RATE + late)) for number in range(count)
        )

    def read(self, timeout: float) -> tuple[NDArray[np.float32], Monotonic | None] | None:
        if not self._blocks:
            return None
        first, size, moment = self._blocks.popleft()
        samples = np.arange(first, first + size, dtype=np.float32)
        return np.stack([samples, samples], axis=1), moment

    def close(self) -> None:
        pass


def taken(sound: Blocks, zero: float, before: int, count: int) -> tuple[CaptureSound, list[NDArray[np.float32]]]:
    """Listen to some blocks, begin, and take the rest."""
    got: list[NDArray[np.float32]] = []
    capture = CaptureSound(sound, None, lambda block, sample: got.append(block.copy()), lambda kind, frame: None)
    for _ in range(before):
        capture.step(0.0)
    capture.begin(Monotonic(zero))
    for _ in range(count):
        capture.step(0.0)
    return capture, got


@pytest.mark.parametrize("size", [480, 2400])
def test_samples_lie_where_they_were_played(size: int) -> None:
    capture, got = taken(Blocks(100.0, size, 100), zero=100.5 + 0.0123, before=24000 // size, count=20)
    capture.give(4800)
    sound = np.concatenate(got)[:, 0]
    assert len(sound) == 4800
    # Sample 0 of the output is the one that was played 0.5123 s after the sound began; blocks come 0.3 ms late.
    assert sound[0] == pytest.approx(0.5123 * RATE, abs=20)
    assert (np.diff(sound) == 1).all()


def test_what_comes_before_its_time_is_held_and_cut_at_the_end() -> None:
    capture, got = taken(Blocks(100.0, 2400, 50), zero=100.5, before=10, count=10)
    assert capture.placed > 20_000
    capture.give(1000)
    assert capture.sample == 1000
    capture.finish(12_345)
    assert sum(map(len, got)) == capture.sample == 12_345


def test_an_output_that_begins_before_the_sound_begins_with_silence() -> None:
    capture, got = taken(Blocks(100.0, 480, 20), zero=99.9, before=1, count=19)
    capture.finish(9600)
    sound = np.concatenate(got)[:, 0]
    assert (sound[:4700] == 0).all()
    assert sound[-1] > 4000


def test_where_nothing_comes_there_is_silence_to_the_end() -> None:
    capture, got = taken(Blocks(100.0, 480, 20), zero=100.1, before=10, count=10)
    capture.finish(48_000)
    assert len(np.concatenate(got)) == 48_000


def test_late_blocks_move_nothing() -> None:
    """A busy machine hands blocks over up to 30 ms late."""
    sound = Blocks(100.0, 480, 400)
    rng = np.random.default_rng(1)
    late = [(first, size, Monotonic(moment + rng.choice([0.0, 0.0, 0.03]))) for first, size, moment in sound._blocks]
    sound._blocks = deque(late)
    capture, got = taken(sound, zero=100.5, before=60, count=300)
    capture.finish(96_000)
    assert (np.diff(np.concatenate(got)[:, 0]) == 1).all()


def test_a_sound_that_is_off_is_brought_back_slowly_and_one_that_jumps_at_once() -> None:
    near, far = Blocks(100.0, 480, 1200), Blocks(100.0, 480, 1200)
    for sound, step in ((near, 0.02), (far, 0.2)):
        sound._blocks = deque(
            (first, size, Monotonic(moment + (step if first > 48_000 else 0.0)))
            for first, size, moment in sound._blocks
        )
    slow, _ = taken(near, zero=100.1, before=20, count=1100)
    jumped, _ = taken(far, zero=100.1, before=20, count=1100)
    read = 1120 * 480 - 4800
    assert slow.placed - read == pytest.approx(0.02 * RATE, abs=300)
    assert jumped.placed - read == pytest.approx(0.2 * RATE, abs=300)
