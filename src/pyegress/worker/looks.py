"""When a session looks at what nobody tells it: pure; times are those of the event loop, in seconds."""

from __future__ import annotations

#: Between looks at timers, silence and progress.
TICK = 0.25
#: Between looks for the first media, for so long after a track was asked for: whoever started us waits for it.
SOON, SOON_FOR = 0.02, 3.0


class Looks:
    """`at` says when the next look is; `ticks` whether it is one at everything."""

    def __init__(self) -> None:
        self._tick = float("-inf")
        self._soon_until = float("-inf")

    def expect_media(self, now: float) -> None:
        """A track was asked for."""
        self._soon_until = now + SOON_FOR

    def at(self, now: float, *, waiting: bool) -> float:
        """When to look next; `waiting` is for the first media."""
        return min(self._tick, now + SOON) if waiting and now < self._soon_until else self._tick

    def ticks(self, now: float) -> bool:
        """Whether everything is to be looked at now; it is not again before `TICK` has passed."""
        if now < self._tick:
            return False
        self._tick = now + TICK
        return True
