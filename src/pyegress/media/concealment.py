"""Sound for lost packets, made from what was heard before: the last pitch period again (as G.711 Appendix I does)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Pitch periods that are tried, seconds: 66 to 400 Hz.
_SHORTEST, _LONGEST = 0.0025, 0.015
#: A seam is smoothed over this, seconds.
_SEAM = 0.002


def pitch_period(history: NDArray[np.float32], rate: int) -> int:
    """Samples after which the end of `history` (n,) resembles itself most."""
    low, high = int(rate * _SHORTEST), min(int(rate * _LONGEST), len(history) // 2)
    if high <= low:
        return max(1, len(history))
    step = max(1, rate // 8000)
    coarse = _likest(history, high, range(low, high + 1, step), step)
    return _likest(history, high, range(max(low, coarse - step), min(high, coarse + step) + 1), 1)


def _likest(history: NDArray[np.float32], length: int, lags: range, step: int) -> int:
    pattern = history[-length::step]
    best, period = 0.0, length
    for lag in lags:
        past = history[-length - lag : len(history) - lag : step]
        likeness = float(pattern @ past) / (float(np.sqrt(past @ past)) + 1e-9)
        if likeness > best:
            best, period = likeness, lag
    return period


def extend(history: NDArray[np.float32], count: int, rate: int) -> NDArray[np.float32]:
    """`count` samples (count, channels) that go on behind `history` (n, channels); silence when there is none."""
    if len(history) < 2:
        return np.zeros((count, history.shape[1]), np.float32)
    period = min(pitch_period(history.mean(axis=1, dtype=np.float32), rate), len(history))
    unit = history[-period:].copy()
    # No step where the period begins again: what is missing to a straight line wanes.
    wane = min(period, max(1, int(rate * _SEAM)))
    step = 2 * history[-1] - history[-2] - unit[0]
    unit[:wane] += step * np.linspace(1, 0, wane, dtype=np.float32)[:, None]
    return np.tile(unit, (-(-count // period), 1))[:count]
