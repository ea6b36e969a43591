"""From RTP timestamps to the sender's wall clock by its sender reports (RFC 3550 section 6.4.1)."""

from __future__ import annotations

from pyegress.clock import Wall
from pyegress.codecs import Kind

#: Weight of a new report once many were seen. Audio wanders by up to 11 ms from report to report, video by 1 ms.
_WEIGHT = {Kind.AUDIO: 0.1, Kind.VIDEO: 0.25}
#: Seconds by which a report may differ before it counts as an outlier or as a step of the sender's clock.
_OUTLIER = {Kind.AUDIO: 0.06, Kind.VIDEO: 0.03}


class SenderClock:
    """Maps extended RTP timestamps of one stream to Unix seconds on the sender's clock.

    Right from the first report on. The first few reports are averaged, later ones smoothed. One report that disagrees
    is ignored (unless there was only one before it); a second one that agrees with it is a step of the clock, which is
    followed at once.
    """

    def __init__(self, clock_rate: int, kind: Kind) -> None:
        self._clock_rate = clock_rate
        self._weight = _WEIGHT[kind]
        self._outlier = _OUTLIER[kind]
        #: Timestamp zero of the line on the sender's clock, relative to `_origin` so that no precision is lost.
        self._origin = 0
        self._origin_wall = 0.0
        self._offset = 0.0
        self._averaged = 0
        self._suspect: float | None = None
        self._reports = 0

    @property
    def reports(self) -> int:
        """Sender reports seen."""
        return self._reports

    def add(self, sender_time: Wall, timestamp: int) -> None:
        """A report: the sender's clock showed `sender_time` at the extended RTP timestamp."""
        self._reports += 1
        if not self._averaged:
            self._begin(sender_time, timestamp)
            return
        offset = sender_time - self._origin_wall - (timestamp - self._origin) / self._clock_rate
        error = offset - self._offset
        if self._averaged == 1 and abs(error) > self._outlier:
            # Of two that disagree the newer is right: the first one after a start can be off by a second.
            self._begin(sender_time, timestamp)
        elif abs(error) <= self._outlier:
            self._averaged += 1
            self._offset += error * max(1 / self._averaged, self._weight)
            self._suspect = None
        elif self._suspect is not None and abs(offset - self._suspect) <= self._outlier:
            self._offset = (offset + self._suspect) / 2
            self._averaged = 2
            self._suspect = None
        else:
            self._suspect = offset

    def wall_of(self, timestamp: int) -> Wall | None:
        """When `timestamp` was sampled, on the sender's clock; None before the first report."""
        if not self._averaged:
            return None
        return Wall(self._origin_wall + self._offset + (timestamp - self._origin) / self._clock_rate)

    def timestamp_of(self, at: Wall) -> int | None:
        """The timestamp that is sampled at `at` on the sender's clock; None before the first report."""
        if not self._averaged:
            return None
        return self._origin + round((at - self._origin_wall - self._offset) * self._clock_rate)

    def reset(self) -> None:
        """A new line of timestamps begins: the mapping is void until the next report. `reports` goes on."""
        self._averaged = 0
        self._suspect = None

    def _begin(self, sender_time: Wall, timestamp: int) -> None:
        self._origin = timestamp
        self._origin_wall = sender_time
        self._offset = 0.0
        self._averaged = 1
