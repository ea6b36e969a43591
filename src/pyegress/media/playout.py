"""How far a recording may be rendered: a while behind real time, so that frames have arrived by then."""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.media.session_timeline import SessionTimeline

#: Seconds behind real time: a file has time for frames that come late, somebody watches a live output.
FILE_DELAY, LIVE_DELAY = 1.0, 0.5
#: How fast a file catches up after it was held, seconds per second.
CATCH_UP = 2.0
#: A file is not held any further behind real time than this, seconds: one who joins after another must not fill memory.
MAX_BEHIND = 8.0


class Playout:
    """Says up to which moment may be rendered. Never goes back.

    A file waits for tracks that are not exactly placed yet, and for publishers whom the network holds up; afterwards it
    catches up. `live` never waits.
    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._delay = LIVE_DELAY if live else FILE_DELAY
        self._until: Monotonic | None = None
        self._asked: Monotonic | None = None
        #: The first instant of the output: the earliest frame of those known when rendering begins; None before.
        self.zero: Monotonic | None = None

    def until(self, now: Monotonic, timeline: SessionTimeline) -> Monotonic | None:
        """Everything before this moment is to be rendered now, which the timeline is told; None before the first media.

        The answer of the call that sets `zero` is `zero` itself or, for a live output, at most a round later.
        """
        held = not self._live and timeline.waiting(now)
        if self._until is None:
            earliest = timeline.earliest()
            if earliest is None or earliest > now - self._delay or (held and now - earliest < MAX_BEHIND):
                return None
            self.zero = self._until = earliest
        elif held and now - self._until < MAX_BEHIND:
            self._asked = now
            return self._until
        until = now - self._delay
        if not self._live:
            elapsed = max(0.0, now - self._asked) if self._asked is not None else 0.0
            until = min(until, self._until + CATCH_UP * elapsed)
        self._asked = now
        return self._advance(until, timeline)

    def flush(self, end: Monotonic, timeline: SessionTimeline) -> Monotonic | None:
        """Everything before `end` may be rendered at once, however little is known; None if nothing ever came."""
        if self._until is None:
            self.zero = self._until = timeline.earliest()
            if self._until is None:
                return None
        return self._advance(end, timeline)

    def _advance(self, until: float, timeline: SessionTimeline) -> Monotonic:
        assert self._until is not None
        self._until = Monotonic(max(self._until, until))
        timeline.rendered(self._until)
        return self._until
