"""Sound for lost packets, made from what was heard before: the last pitch period again (as G.711 Appendix I does)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Pitch periods that are tried, seconds: 66 to 400 Hz.
_SHORTEST, _LONGEST = 0.0025, 0.015


def pitch_period(history: NDArray[np.float32], rate: int) -> int:
    """Samples after which the end of `history` (n,) resembles itself most."""
    low, high = int(rate * _SHORTEST), int(rate * _LONGEST)
    if len(history) < 2 * high:
        return high
    step = max(1, rate // 8000)
    pattern = history[-high::step]
    best, period = 0.0, high
    for lag in range(low, high + 1, step):
        past = history[-high - lag : len(history) - lag : step]
        likeness = float(pattern @ past) / (float(np.sqrt(past @ past)) + 1e-9)
        if likeness > best:
            best, period = likeness, lag
    return period


def extend(history: NDArray[np.float32], count: int, rate: int) -> NDArray[np.float32]:
    """`count` samples (count, channels) that go on behind `history` (n, channels); silence when there is none."""
    if not len(history):
        return np.zeros((count, history.shape[1]), np.float32)
    period = min(pitch_period(history.mean(axis=1, dtype=np.float32), rate), len(history))
    times = -(-count // period)
    return np.tile(history[-period:], (times, 1))[:count]
