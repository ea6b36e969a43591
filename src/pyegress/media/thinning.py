"""What to do when the machine cannot keep up: leave out pictures evenly, say how many, and never touch the sound."""

from __future__ import annotations

#: Behind by this much (seconds), every other picture is left out, and so on for each further step ...
LAG_STEP = 2.0
#: ... until the lag is below this share of the step again.
_RELIEF = 0.25
MAX_STRIDE = 6


class Thinning:
    """Decides which ticks of the output are drawn. Times in seconds."""

    def __init__(self) -> None:
        #: One tick out of so many is drawn.
        self.stride = 1
        #: Ticks that were left out.
        self.dropped = 0
        self._level = 0.0

    def takes(self, tick: int, lag: float) -> bool:
        """Whether `tick` is drawn, when drawing is `lag` seconds behind where it should be."""
        if lag > self._level + LAG_STEP and self.stride < MAX_STRIDE:
            self.stride += 1
            self._level = lag
        elif lag < _RELIEF * LAG_STEP:
            self.stride, self._level = 1, 0.0
        if tick % self.stride == 0:
            return True
        self.dropped += 1
        return False
