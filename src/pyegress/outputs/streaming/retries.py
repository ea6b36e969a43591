"""When a destination is tried again, and when it is given up. Pure: time is passed in."""

from __future__ import annotations

from pyegress.clock import Monotonic

#: Seconds before the first, second, … attempt after a loss; the last one repeats.
BACK_OFF = (0.25, 0.5, 1.0, 2.0, 4.0)
#: A connection that carried media for so long was a good one: what is lost after it is a loss of its own.
STEADY = 5.0
#: How long a destination is tried that accepted us and hung up before it was steady: perhaps our key is wrong.
PROBATION = 5.0


class RetryBudget:
    """`window` is how long after a loss a destination is tried again, seconds; 0: not at all."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._accepted = False
        self._steady = False
        self._accepted_at: Monotonic | None = None
        self._lost_at: Monotonic | None = None
        self._attempts = 0

    def accepted(self, now: Monotonic) -> None:
        """The destination takes media."""
        self._accepted = True
        self._accepted_at = now

    def progress(self, now: Monotonic) -> None:
        """Media has arrived there."""
        if self._accepted_at is not None and now - self._accepted_at >= STEADY:
            self._steady = True
            self._lost_at = None
            self._attempts = 0

    def failed(self, now: Monotonic) -> float | None:
        """The connection failed, or could not be made. Seconds until the next attempt; None: give up."""
        self._accepted_at = None
        if not self._accepted:
            return None
        if self._lost_at is None:
            self._lost_at = now
        window = self._window if self._steady else min(self._window, PROBATION)
        left = self._lost_at + window - now
        if left <= 0:
            return None
        delay = BACK_OFF[min(self._attempts, len(BACK_OFF) - 1)]
        self._attempts += 1
        return min(delay, left)
