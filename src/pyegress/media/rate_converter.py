"""From the mixer's 48 kHz to the sample rate of an encoder."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

#: The rate of everything before encoders, Hz.
MIX_RATE = 48_000


class RateConverter:
    """A stream of float32 blocks (n, 2) at 48 kHz to `rate` Hz. Sizes vary by some samples; nothing is lost overall."""

    __slots__ = ("_resampler", "rate")

    def __init__(self, rate: int) -> None:
        self.rate = rate
        same = rate == MIX_RATE
        self._resampler = None if same else av.AudioResampler(format="flt", layout="stereo", rate=rate)

    def convert(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """What can be given out after the next block; the block itself at 48 kHz."""
        if self._resampler is None or not len(block):
            return block
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block).reshape(1, -1), "flt", "stereo")
        frame.sample_rate = MIX_RATE
        return _joined(self._resampler.resample(frame))

    def flush(self) -> NDArray[np.float32]:
        """What is left at the end. Nothing may be converted afterwards."""
        return np.zeros((0, 2), np.float32) if self._resampler is None else _joined(self._resampler.resample(None))


def to_rate(rate: int) -> RateConverter:
    """A converter from 48 kHz to `rate` Hz."""
    return RateConverter(rate)


def _joined(frames: list[av.AudioFrame]) -> NDArray[np.float32]:
    blocks = [frame.to_ndarray().reshape(-1, 2) for frame in frames]
    return np.concatenate(blocks) if blocks else np.zeros((0, 2), np.float32)
