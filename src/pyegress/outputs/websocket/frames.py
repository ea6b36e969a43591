"""The mixed sound as binary frames: 10 ms of signed 16-bit samples, little-endian, channels interleaved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyegress.media.rate_converter import RateConverter

#: Seconds in a frame.
FRAME = 0.01
_FULL = 32_767


class PcmFrames:
    """Blocks of float32 [n, 2] at 48 kHz in, whole frames at `rate` Hz out."""

    def __init__(self, rate: int, channels: int) -> None:
        self._converter = RateConverter(rate)
        self._mono = channels == 1
        self._size = round(rate * FRAME) * channels * 2
        self._left = b""

    def take(self, block: NDArray[np.float32]) -> list[bytes]:
        """The frames that are complete with this block."""
        return self._cut(self._converter.convert(block))

    def flush(self) -> list[bytes]:
        """The last frames; the end of the very last one is silence."""
        frames = self._cut(self._converter.flush())
        if self._left:
            frames.append(self._left.ljust(self._size, b"\0"))
            self._left = b""
        return frames

    def _cut(self, block: NDArray[np.float32]) -> list[bytes]:
        if self._mono:
            block = block.mean(axis=1, keepdims=True, dtype=np.float32)
        data = self._left + np.rint(np.clip(block, -1.0, 1.0) * _FULL).astype("<i2").tobytes()
        whole = len(data) - len(data) % self._size
        self._left = data[whole:]
        return [data[at : at + self._size] for at in range(0, whole, self._size)]
