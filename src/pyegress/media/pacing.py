"""Which frames of a video stream are shown at which tick of the output."""

from __future__ import annotations

from collections.abc import Iterable

#: How far from its tick a frame may be shown when the stream has the output's frame rate, in output periods. Wider than
#: one period in all, so that jitter never moves a frame into the neighbouring tick: a period for the phase between
#: source and output, and 10 ms to either side at 30 fps.
STICKY_REACH = 1.15
#: Beyond the output's frame rate by this part of it, a stream cannot be shown frame by frame anyway.
_SAME_RATE = 0.1
#: Captures this many output periods apart say nothing of the frame rate.
_GAP = 6.0
#: An interval counts as no more than this part longer or shorter than the mean: a lost frame changes no frame rate.
_BELIEVED = 0.3
#: Weight of the newest interval in the mean.
_WEIGHT = 1 / 16


class Pacer:
    """Paces one stream onto output ticks that are `period` seconds apart.

    e is a frame's capture time minus the tick. A stream of the output's frame rate sticks to one frame per tick as long
    as e stays within the reach: "nearest capture time" would flip at a boundary. Only a frame that lags by more than
    the reach takes another with it, and only one that leads by more is held. Streams of other rates, which hold or drop
    frames in any case, are shown at the nearest tick.
    """

    __slots__ = ("_interval", "_last", "_next_free", "_period")

    def __init__(self, period: float) -> None:
        if period <= 0:
            raise ValueError(f"a period of {period} s is no output")
        self._period = period
        self.restart()

    def restart(self) -> None:
        """What comes next does not continue what was before: begin with it at the nearest tick."""
        self._interval = self._period
        self._last: float | None = None
        #: The next frame has no neighbour whose tick it would stick to.
        self._next_free = True

    def due(self, tick: float, captures: Iterable[float]) -> int:
        """How many of the waiting frames (capture times, oldest first) are over or shown at `tick`; 0 holds.

        The last of them is the one to show. Ticks and captures are seconds of one clock; ticks only go forward.
        """
        taken = 0
        for capture in captures:
            early = capture - tick
            # Once frames have to be passed over, go on to the nearest.
            lag = self._lag if taken == 1 else self._period / 2
            if taken and self._last is not None and self._last - tick >= -lag:
                break
            if early > self._lead:
                break
            self._take(capture)
            taken += 1
        return taken

    @property
    def _lead(self) -> float:
        if self._next_free or abs(self._interval / self._period - 1) > _SAME_RATE:
            return self._period / 2
        return self._period * STICKY_REACH

    @property
    def _lag(self) -> float:
        return self._period * (0.5 if self._interval < self._period * (1 - _SAME_RATE) else STICKY_REACH)

    def _take(self, capture: float) -> None:
        interval = 0.0 if self._last is None else capture - self._last
        if 0 < interval < _GAP * self._period:
            change = _BELIEVED * self._interval
            self._interval += min(change, max(-change, interval - self._interval)) * _WEIGHT
        self._next_free = interval >= _GAP * self._period
        self._last = capture
