"""Interpolation between samples by a windowed sinc, for ratios that vary from sample to sample (a Farrow structure)."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

#: Taps of the kernel; an output at x needs samples from x - BEFORE to x + AFTER.
TAPS = 16
BEFORE, AFTER = TAPS // 2 - 1, TAPS // 2
_ORDER = 5
_BETA = 7.0


def windowed_sinc(x: NDArray[np.float64], half_width: float, beta: float = _BETA) -> NDArray[np.float64]:
    """sinc(x) under a Kaiser window that ends at +-half_width samples."""
    inside = np.clip(1 - (x / half_width) ** 2, 0, None)
    window: NDArray[np.float64] = np.where(inside > 0, np.i0(beta * np.sqrt(inside)) / np.i0(beta), 0.0)
    return np.sinc(x) * window


def _kernel() -> NDArray[np.float32]:
    """Rows: power of the fraction and side; columns: interleaved taps. Exact at fractions 0 and 1."""
    nodes = np.linspace(0, 1, _ORDER + 1)
    taps = np.arange(TAPS) - BEFORE
    at_nodes = windowed_sinc(taps[None, :] - nodes[:, None], TAPS / 2)
    powers = np.linalg.inv(np.vander(nodes, increasing=True)) @ at_nodes
    kernel = np.zeros((_ORDER + 1, 2, TAPS, 2))
    for side in range(2):
        kernel[:, side, :, side] = powers
    return np.ascontiguousarray(kernel.reshape(2 * (_ORDER + 1), 2 * TAPS), np.float32)


_KERNEL = _kernel()


def interpolate(samples: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Values of `samples` (n, 2, contiguous) at rising `positions`, each from BEFORE to n - 1 - AFTER."""
    whole = positions.astype(np.int64)
    fraction = (positions - whole).astype(np.float32)
    first = int(whole[0])
    rows = int(whole[-1]) - first + 1
    base = samples[first - BEFORE :]
    windows = as_strided(base, (rows, 2 * TAPS), (samples.strides[0], samples.strides[1]))
    terms = _KERNEL @ np.ascontiguousarray(windows).T
    terms = terms.take(whole - first, axis=1).reshape(_ORDER + 1, 2, len(positions))
    out = terms[_ORDER]
    for power in range(_ORDER - 1, -1, -1):
        out *= fraction
        out += terms[power]
    return np.ascontiguousarray(out.T)
