"""What comes again and again on the output's clock, counted in ticks so that it never drifts."""

from __future__ import annotations

from fractions import Fraction

#: Intervals come as binary fractions: 0.1 s is meant to be a tenth.
_PRECISION = 1_000_000


class Rhythm:
    """Every `interval` seconds from second 0 on, each time at the nearest tick of `rate` a second."""

    __slots__ = ("_step",)

    def __init__(self, interval: float, rate: int) -> None:
        """`interval` must be above 0; one shorter than a tick falls on every tick."""
        self._step = Fraction(interval).limit_denominator(_PRECISION) * rate

    @property
    def longest(self) -> int:
        """Ticks from one to the next, at most."""
        return max(1, -(-self._step.numerator // self._step.denominator))

    def falls_on(self, tick: int) -> bool:
        """Whether one of its times is nearest to `tick`."""
        if self._step <= 1:
            return True
        return round(round(tick / self._step) * self._step) == tick
