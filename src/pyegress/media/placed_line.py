"""One line of RTP timestamps on the recorder's clock: how long it takes to arrive, and where its frames are placed.

The place of a timestamp is made of segments: straight lines in media time that join without a step. While nothing of
the line has been rendered it is placed anew whenever more is known. After that corrections are slewed, so slowly that
nobody hears or sees it, and made at once only across a pause, in which there is nothing to hear or see.
"""

from __future__ import annotations

from bisect import bisect_right

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.rtp.sender_report import SenderClock

#: How fast the least transit may rise while frames arrive (clocks that run apart), seconds per second ...
CREEP = 0.001
#: ... and over a pause, which says nothing: crystals are off by 200 ppm at most.
IDLE_CREEP = 0.000_25
#: A pause between two arrivals of a line, seconds.
IDLE = 1.0

#: A frame that is earlier than the least delayed one by more than this may be of another line, seconds.
EARLY = 0.5

#: How fast sound is moved at most, seconds per second: it is resampled, and 0.4 % is a fifteenth of a semitone.
AUDIO_SLEW = 0.004
#: How fast pictures are moved at most ...
VIDEO_SLEW = 0.005
#: ... and while they are off by more than LARGE seconds: out of lip sync is worse than 5 % faster.
FAST_VIDEO_SLEW, LARGE = 0.05, 0.02
#: Small errors are reduced with this time constant, seconds, so that noise of the estimates is not followed.
_GENTLE = {Kind.AUDIO: 4.0, Kind.VIDEO: 2.0}
#: Media time without frames in which a correction can be made at once, seconds. DTX sends a packet every 0.4 s.
PAUSE = 0.25
#: Frames before and after a pause stay at least this far apart, seconds.
_APART = 0.02

#: Media seconds that one segment is planned for.
SPAN = 0.1
#: Segments that are remembered at least, more than any frame waits to be rendered.
_REMEMBERED = 150


class PlacedLine:
    """Timestamps that belong together, from `timestamp` on, which arrived first at `arrival`."""

    __slots__ = (
        "_gentle",
        "_places",
        "_slopes",
        "_starts",
        "begun",
        "behind",
        "behind_since",
        "clock",
        "early",
        "first",
        "free",
        "kind",
        "least",
        "newest",
        "next_plan",
        "offset",
        "rate",
        "seen",
        "span",
    )

    def __init__(self, codec: Codec, timestamp: int, arrival: Monotonic) -> None:
        self.rate = codec.clock_rate
        self.kind = codec.kind
        self.span = round(SPAN * self.rate)
        self._gentle = _GENTLE[codec.kind]
        #: The sender's clock by the reports of this line.
        self.clock = SenderClock(codec.clock_rate, codec.kind)
        self.first = self.newest = timestamp
        self.begun = self.seen = arrival
        #: When `first` would have arrived with the least delay; transit times of a line are told by it.
        self.least: float = arrival
        #: Where `first` belongs on our clock.
        self.offset: float = arrival
        #: Nothing of it has been rendered: it can still be placed anywhere.
        self.free = True
        #: Timestamp from which on the next segment is planned.
        self.next_plan = timestamp
        #: Since when frames come far too late, and by how much at least; None while they do not.
        self.behind_since: Monotonic | None = None
        self.behind = 0.0
        #: By how much a frame may be earlier than the least delayed one without a doubt, seconds.
        self.early = EARLY
        # The segments: where they start, in ticks and in seconds of our clock, and how much faster time runs on them.
        self._starts = [timestamp]
        self._places: list[float] = [arrival]
        self._slopes = [0.0]

    def lag(self, timestamp: int, arrival: Monotonic) -> float:
        """Seconds that a frame took longer than the least delayed one."""
        return arrival - (timestamp - self.first) / self.rate - self.least

    def arrived(self, timestamp: int, arrival: Monotonic) -> None:
        """A frame arrived: the least transit counts, slowly forgotten."""
        elapsed = arrival - self.seen
        if elapsed > 0:
            self.seen = arrival
            self.least += elapsed * (CREEP if elapsed < IDLE else IDLE_CREEP)
        transit = arrival - (timestamp - self.first) / self.rate
        if transit < self.least:
            self.least = transit

    def least_at(self, now: Monotonic) -> float:
        """`least`, a pause until now taken into account."""
        return self.least + max(0.0, now - self.seen) * IDLE_CREEP

    def transit(self, now: Monotonic) -> float | None:
        """The least transit from the sender's clock to ours, seconds (any sign); None before the first report."""
        wall = self.clock.wall_of(self.newest)
        if wall is None:
            return None
        return self.least_at(now) + (self.newest - self.first) / self.rate - wall

    def place(self, timestamp: int) -> Monotonic:
        """Where a timestamp lies on our clock."""
        index = -1
        if timestamp < self._starts[-1]:
            index = max(0, bisect_right(self._starts, timestamp) - 1)
        ahead = timestamp - self._starts[index]
        place = self._places[index] + ahead / self.rate
        slope = self._slopes[index]
        if slope and ahead > 0:
            place += slope * (ahead if ahead < self.span else self.span) / self.rate
        return Monotonic(place)

    @property
    def error(self) -> float:
        """Seconds that the newest frame is placed later than it belongs."""
        return self.place(self.newest) - (self.newest - self.first) / self.rate - self.offset

    @property
    def slope(self) -> float:
        """How fast it is being moved, seconds per second."""
        return self._slopes[-1]

    def steer(self, timestamp: int, late: float, slope: float = 0.0) -> None:
        """Plan the next segment, from the newest frame's `timestamp` on: it should lie `late` seconds after its place.

        `slope` is how fast `late` grows, seconds per second.
        """
        offset = self.offset + late
        self.next_plan = timestamp + self.span
        if self.free:
            self._starts, self._places, self._slopes = [self.first], [offset], [0.0]
            return
        target = offset + (timestamp - self.first) / self.rate
        place: float = self.place(timestamp)
        if timestamp - self.newest >= PAUSE * self.rate:
            place = max(target, self.place(self.newest) + _APART)
        slope = self._slope(target - place, slope)
        if timestamp == self._starts[-1]:
            self._slopes[-1] = slope
            return
        if not slope and not self._slopes[-1] and place == self.place(timestamp):
            return
        self._starts.append(timestamp)
        self._places.append(place)
        self._slopes.append(slope)
        if len(self._starts) >= 2 * _REMEMBERED:
            del self._starts[:_REMEMBERED], self._places[:_REMEMBERED], self._slopes[:_REMEMBERED]

    def _slope(self, error: float, slope: float) -> float:
        """How fast to move, with an error of so many seconds that grows by `slope`."""
        if self.kind is Kind.AUDIO:
            most = AUDIO_SLEW
        elif abs(error) > LARGE:
            return FAST_VIDEO_SLEW if error > 0 else -FAST_VIDEO_SLEW
        else:
            most = VIDEO_SLEW
        return max(-most, min(most, error / self._gentle + slope))
