"""Histograms as Prometheus reads them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Times:
    """Counts of milliseconds by bucket (the last has no bound), and the sum of all."""

    def __init__(self, bounds: Sequence[int]) -> None:
        """`bounds` are the upper ones, ascending."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, milliseconds: float) -> None:
        self._counts[bisect_left(self._bounds, milliseconds)] += 1
        self.total += milliseconds

    @property
    def cumulative(self) -> list[tuple[str, float]]:
        """Each bound, and how many were not above it."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        sums, so_far = [], 0
        for bound, count in zip(bounds, self._counts, strict=True):
            so_far += count
            sums.append((bound, float(so_far)))
        return sums
