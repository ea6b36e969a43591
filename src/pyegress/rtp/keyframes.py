"""When to ask for a key frame (PLI, RFC 4585 section 6.3.1)."""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.rtp.jitter import NEVER

#: Seconds between two requests at least; the server throttles more frequent ones.
MIN_INTERVAL = 0.3
#: Seconds between two requests at most, while nothing decodable comes.
MAX_INTERVAL = 1.0
#: Seconds until it is looked again whether a key frame that is coming is there.
_PATIENCE = 0.05


class KeyframePolicy:
    """Decides when a PLI is due, for one video stream. It starts out wanting a key frame: the subscription's first."""

    def __init__(self, now: Monotonic) -> None:
        self._wanted_at = now
        self._last_sent = Monotonic(now - MAX_INTERVAL)
        self._postponed_until = now
        self._interval = MIN_INTERVAL
        self._muted = False
        #: Everything decodes, and a key frame is wanted all the same.
        self._extra = False
        #: When a PLI is due; NEVER while none is.
        self.next_due = now

    @property
    def wanted(self) -> bool:
        """A key frame is needed, asked for or not."""
        return self._wanted_at < NEVER

    def want(self, now: Monotonic) -> None:
        """Nothing can be decoded from here on without a key frame."""
        if self._wanted_at == NEVER or self._extra:
            self._extra = False
            self._wanted_at = now
            self._interval = MIN_INTERVAL
            self._schedule()

    def ask(self, now: Monotonic) -> None:
        """Somebody begins, or cuts, at the next key frame. It is asked for once a second until it comes: the server
        throttles more frequent requests."""
        if self._wanted_at == NEVER:
            self._extra = True
            self._wanted_at = now
            self._interval = MAX_INTERVAL
            self._schedule()

    def satisfied(self, *, keyframe: bool = True) -> None:
        """A frame that can be decoded came."""
        if self._wanted_at != NEVER and (keyframe or not self._extra):
            self._extra = False
            self._wanted_at = self.next_due = NEVER

    def set_muted(self, muted: bool, now: Monotonic) -> None:
        """While muted nobody sends pictures. After it a key frame is asked for if nothing decodable comes by itself."""
        if self._muted and not muted:
            # The publisher's own first frame is usually on its way; a request in vain would cost it a second key frame.
            self._extra = False
            self._wanted_at = Monotonic(now + MIN_INTERVAL)
            self._interval = MIN_INTERVAL
        self._muted = muted
        self._schedule()

    def postpone(self, now: Monotonic) -> None:
        """A key frame is coming, some of its packets are there: do not ask before it is complete or lost.

        At a PLI livekit-server stops retransmissions until it has a key frame to forward, and it drops requests that
        follow each other within its own throttle: asking once more could cost what is just being repaired.
        """
        self._postponed_until = Monotonic(now + _PATIENCE)
        self._schedule()

    def sent(self, now: Monotonic) -> None:
        """A PLI was sent."""
        if now - self._last_sent < 2 * MAX_INTERVAL:
            # Asked again in vain: the sender may be slow, so ask less and less often.
            self._interval = min(MAX_INTERVAL, self._interval * 1.5)
        self._last_sent = now
        self._schedule()

    def _schedule(self) -> None:
        if self._muted or self._wanted_at == NEVER:
            self.next_due = NEVER
        else:
            self.next_due = max(self._wanted_at, Monotonic(self._last_sent + self._interval), self._postponed_until)
