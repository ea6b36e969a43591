"""From RTP timestamps to the sender's wall clock by its sender reports (RFC 3550 section 6.4.1)."""

from __future__ import annotations

from collections import deque
from statistics import median

from pyegress.clock import Wall
from pyegress.codecs import Kind

#: Seconds by which a report may differ from the others before it is left out. Audio wanders by up to 11 ms from report
#: to report, video by 1 ms.
_OUTLIER = {Kind.AUDIO: 0.06, Kind.VIDEO: 0.03}
#: Reports that are remembered: half a minute.
_REMEMBERED = 11


class SenderClock:
    """Maps extended RTP timestamps of one stream to Unix seconds on the sender's clock.

    Right from the first report on. Of two that disagree the newer is right: the first one after a start can be off by a
    second. From three on the majority decides: a sender that was held up makes several wrong reports in a row. A real
    step of the clock is followed as soon as most of the remembered reports show it.
    """

    def __init__(self, clock_rate: int, kind: Kind) -> None:
        self._clock_rate = clock_rate
        self._outlier = _OUTLIER[kind]
        #: Timestamp zero of the line on the sender's clock, relative to `_origin` so that no precision is lost.
        self._origin = 0
        self._origin_wall = 0.0
        self._offset = 0.0
        self._offsets: deque[float] = deque(maxlen=_REMEMBERED)
        self._reports = 0

    @property
    def reports(self) -> int:
        """Sender reports seen."""
        return self._reports

    def add(self, sender_time: Wall, timestamp: int) -> None:
        """A report: the sender's clock showed `sender_time` at the extended RTP timestamp."""
        self._reports += 1
        if not self._offsets:
            self._origin, self._origin_wall = timestamp, sender_time
        offset = sender_time - self._origin_wall - (timestamp - self._origin) / self._clock_rate
        self._offsets.append(offset)
        middle = median(self._offsets) if len(self._offsets) > 2 else offset
        agreeing = [one for one in self._offsets if abs(one - middle) <= self._outlier]
        self._offset = sum(agreeing) / len(agreeing) if agreeing else middle

    def wall_of(self, timestamp: int) -> Wall | None:
        """When `timestamp` was sampled, on the sender's clock; None before the first report."""
        if not self._offsets:
            return None
        return Wall(self._origin_wall + self._offset + (timestamp - self._origin) / self._clock_rate)

    def timestamp_of(self, at: Wall) -> int | None:
        """The timestamp that is sampled at `at` on the sender's clock; None before the first report."""
        if not self._offsets:
            return None
        return self._origin + round((at - self._origin_wall - self._offset) * self._clock_rate)

    def reset(self) -> None:
        """A new line of timestamps begins: the mapping is void until the next report. `reports` goes on."""
        self._offsets.clear()
