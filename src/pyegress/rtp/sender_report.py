"""From RTP timestamps to the sender's wall clock by its sender reports (RFC 3550 section 6.4.1)."""

from __future__ import annotations

from collections import deque
from statistics import median

from pyegress.clock import Wall
from pyegress.codecs import Kind

#: Seconds by which a report may differ from the others before it is left out. Audio wanders by up to 11 ms from report
#: to report, video by 1 ms.
_OUTLIER = {Kind.AUDIO: 0.06, Kind.VIDEO: 0.03}
#: Reports that decide by majority: half a minute.
_REMEMBERED = 11
#: Reports that the drift is taken from: two minutes, and not before one; it is used so far around the newest, seconds.
_STEADY, _ENOUGH, _REACH = 41, 20, 30.0
#: Clocks that run apart by more than this are reports that step.
_MAX_DRIFT = 0.000_5


class SenderClock:
    """Maps extended RTP timestamps of one stream to Unix seconds on the sender's clock.

    Right from the first report on. Of two that disagree the newer is right: the first one after a start can be off by a
    second. From three on the majority decides: a sender that was held up makes several wrong reports in a row. A real
    step of the clock is followed as soon as most of the remembered reports show it. After a minute the drift between
    the RTP clock and the sender's clock is known too, so that averaging does not lag behind it.
    """

    def __init__(self, clock_rate: int, kind: Kind) -> None:
        self._clock_rate = clock_rate
        self._outlier = _OUTLIER[kind]
        #: Timestamp zero of the line on the sender's clock, relative to `_origin` so that no precision is lost.
        self._origin = 0
        self._origin_wall = 0.0
        #: The offset at `_newest` seconds after the origin, and how fast it grows there.
        self._offset = 0.0
        self._drift = 0.0
        self._newest = 0.0
        #: Seconds after the origin and offset of the last reports, and of those of longer ago that agree with them.
        self._offsets: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        self._steady: deque[tuple[float, float]] = deque(maxlen=_STEADY)
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
        at = self._newest = (timestamp - self._origin) / self._clock_rate
        offset = sender_time - self._origin_wall - at
        self._offsets.append((at, offset))
        current = [self._now(one) for one in self._offsets]
        middle = median(current) if len(current) > 2 else offset
        self._learn_drift(middle, (at, offset))
        current = [self._now(one) for one in self._offsets]
        agreeing = [one for one in current if abs(one - middle) <= self._outlier]
        self._offset = sum(agreeing) / len(agreeing) if agreeing else middle

    def wall_of(self, timestamp: int) -> Wall | None:
        """When `timestamp` was sampled, on the sender's clock; None before the first report."""
        if not self._offsets:
            return None
        at = (timestamp - self._origin) / self._clock_rate
        return Wall(self._origin_wall + self._offset_at(at) + at)

    def timestamp_of(self, at: Wall) -> int | None:
        """The timestamp that is sampled at `at` on the sender's clock; None before the first report."""
        if not self._offsets:
            return None
        since = at - self._origin_wall - self._offset
        since -= self._offset_at(since) - self._offset
        return self._origin + round(since * self._clock_rate)

    def reset(self) -> None:
        """A new line of timestamps begins: the mapping is void until the next report. `reports` goes on."""
        self._offsets.clear()
        self._steady.clear()
        self._drift = 0.0

    def _now(self, report: tuple[float, float]) -> float:
        """What the offset of an earlier report has become by now."""
        at, offset = report
        return offset + self._drift * (self._newest - at)

    def _offset_at(self, at: float) -> float:
        """Beyond its reach the drift is not believed, so that clocks are compared by today's offsets."""
        return self._offset + self._drift * max(-_REACH, min(_REACH, at - self._newest))

    def _learn_drift(self, middle: float, report: tuple[float, float]) -> None:
        """The slope of all reports that agree (least squares)."""
        self._steady.append(report)
        agreeing = [one for one in self._steady if abs(self._now(one) - middle) <= 2 * self._outlier]
        if len(agreeing) < len(self._steady) - _REMEMBERED // 2:  # a step, not some wrong reports
            self._steady = deque(agreeing, maxlen=_STEADY)
        if len(agreeing) < _ENOUGH:
            self._drift = 0.0
            return
        mean_at = sum(at for at, _ in agreeing) / len(agreeing)
        mean_offset = sum(offset for _, offset in agreeing) / len(agreeing)
        spread = sum((at - mean_at) ** 2 for at, _ in agreeing)
        if spread:
            slope = sum((at - mean_at) * (offset - mean_offset) for at, offset in agreeing) / spread
            self._drift = max(-_MAX_DRIFT, min(_MAX_DRIFT, slope))
