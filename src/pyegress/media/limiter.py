"""A look-ahead limiter: nothing beyond full scale comes out, and what stays below is not touched at all."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Gain is decided once per cell of 1 ms and runs linearly in between.
CELL = 48
_AHEAD = 5
#: Sound comes out this much later than it goes in, samples.
LIMITER_DELAY = _AHEAD * CELL
#: The largest value that comes out: what 16 bits can hold.
CEILING = 32767 / 32768
#: Cells that gain stays down after a peak, so that a deep tone is not bent between its peaks ...
_HOLD = 20
#: ... and the part of the way back to 1 per cell, a time constant of 150 ms.
_RELEASE = 1 / 150
_NEARLY = 0.9999
_RAMP = np.arange(1, CELL + 1, dtype=np.float32) / CELL


class Limiter:
    """Blocks (n, 2) in, blocks of the same size out, LIMITER_DELAY samples later. n is a multiple of CELL."""

    __slots__ = ("_gain", "_hold", "_limits", "_tail", "active")

    def __init__(self) -> None:
        self._tail = np.zeros((LIMITER_DELAY, 2), np.float32)
        #: Gains that the cells not yet out allow, and the one before them.
        self._limits: deque[float] = deque([1.0] * (_AHEAD + 1), maxlen=_AHEAD + 1)
        self._gain = 1.0
        self._hold = 0
        #: Cells that came out with a gain other than 1.
        self.active = 0

    def process(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next block."""
        peaks = np.abs(block).reshape(-1, CELL * 2).max(axis=1)
        joined = np.concatenate((self._tail, block))
        out, self._tail = joined[: len(block)], joined[len(block) :]
        if self._gain == 1.0 and peaks.max() <= CEILING and min(self._limits) == 1.0:
            return out
        gains = [self._gain]
        for peak in peaks.tolist():
            self._limits.append(CEILING / peak if peak > CEILING else 1.0)
            gains.append(self._next_gain())
        self.active += sum(before != 1.0 or after != 1.0 for before, after in pairwise(gains))
        ends = np.array(gains, np.float32)[:, None]
        # What has the gain 1 all through a cell comes out as it was.
        ramps = ends[:-1] + (ends[1:] - ends[:-1]) * _RAMP
        out *= ramps.reshape(-1, 1)
        np.clip(out, -CEILING, CEILING, out=out)  # rounding only
        return out

    def _next_gain(self) -> float:
        """The gain at the end of the next cell must suit it and the one behind it; limits[0] is that cell's."""
        before = self._gain
        gain = self._released()
        if min(self._limits) < 1.0:
            for distance, limit in enumerate(self._limits):
                if limit < 1.0:
                    gain = min(gain, before + (limit - before) / max(1, distance))
                    if limit <= before:
                        self._hold = _HOLD
        self._gain = gain
        return gain

    def _released(self) -> float:
        if self._hold:
            self._hold -= 1
            return self._gain
        gain = self._gain + (1.0 - self._gain) * _RELEASE
        return 1.0 if gain > _NEARLY else gain
