"""What comes again and again on the output's clock, counted in ticks so that it never drifts."""

from __future__ import annotations

from fractions import Fraction

#: Intervals come as binary fractions: 0.1 s is meant to be a tenth.
_PRECISION = 1_000_000


class Rhythm:
    """Every `interval` seconds from second 0 on, each time at the nearest tick of `rate` a second."""

    __slots__ = ("_parts", "_ticks")

    def __init__(self, interval: float, rate: int) -> None:
        """`interval` must be above 0; one shorter than a tick falls on every tick."""
        step = Fraction(interval).limit_denominator(_PRECISION) * rate
        # So many ticks hold so many intervals.
        self._ticks, self._parts = step.numerator, step.denominator

    @property
    def longest(self) -> int:
        """Ticks from one to the next, at most."""
        return max(1, -(-self._ticks // self._parts))

    def falls_on(self, tick: int) -> bool:
        """Whether one of its times is nearest to `tick`; what lies between two goes to the later one."""
        ticks, parts = self._ticks, self._parts
        if ticks <= parts:
            return True
        number = (2 * tick * parts + ticks) // (2 * ticks)
        return (2 * number * ticks + parts) // (2 * parts) == tick
