"""The clock that the tracks of one publisher share, by its sender reports and by how long its media takes to arrive.

Each track has a least transit (RTP time to our clock) by itself. Sender reports put the tracks on one clock, on which
one of them is the fastest; by how much the others are slower is their `skew`, and taking it off puts what was captured
together to one place. The skew is remembered: it holds as well while reports are missing, contradict arrivals, or step
because somebody set the publisher's clock.
"""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.media.placed_line import IDLE, PAUSE, SPAN, PlacedLine

#: Tracks of one publisher take about equally long to arrive; reports that claim more than this are wrong, seconds.
PLAUSIBLE = 0.4
#: A skew that changes by more than this is news to be confirmed for so long, seconds: reports of two tracks do not step
#: at the same moment.
_NEWS, _CONFIRMED = 0.05, 4.0
#: Sound leads pictures as long as it has come within this time, seconds.
_LEADING = 0.5
#: A publisher of whom nothing has come for STALLED seconds may be held up by the network; after GIVEN_UP seconds it
#: hardly is. What DTX sends, and a picture that waits for a lost packet, comes sooner.
STALLED, GIVEN_UP = 0.6, 5.0
#: What still comes of a track after it was muted comes within this time, seconds.
_AFTER_MUTE = 1.0


class PlacedTrack:
    """One track: its lines of timestamps and what is known of it beyond a line."""

    __slots__ = (
        "believed",
        "codec",
        "doubted_since",
        "ended",
        "line",
        "lines",
        "muted_at",
        "past",
        "pending",
        "publisher",
        "skew",
        "skewed",
    )

    def __init__(self, codec: Codec, publisher: PublisherClock) -> None:
        self.codec = codec
        self.publisher = publisher
        #: The line that arrives now; None before its first frame.
        self.line: PlacedLine | None = None
        #: Lines of this stream, the newest last, and those of former streams whose frames may still be asked for.
        self.lines: list[PlacedLine] = []
        self.past: list[PlacedLine] = []
        #: Reports of a line that has not begun: sender's time, timestamp, arrival.
        self.pending: list[tuple[float, int, float]] = []
        #: Seconds by which it is slower than the publisher's fastest track, and whether reports ever said so.
        self.skew = 0.0
        self.skewed = False
        self.doubted_since: Monotonic | None = None
        #: Its reports agree with arrivals.
        self.believed = False
        self.ended = False
        #: When it was muted last.
        self.muted_at = float("-inf")

    def sending_until(self) -> float | None:
        """When its newest frame came; None if nothing is to be expected of it now."""
        if self.line is None or self.ended or self.line.seen - self.muted_at <= _AFTER_MUTE:
            return None
        return self.line.seen


class PublisherClock:
    """The tracks of one publisher."""

    __slots__ = ("_next_align", "tracks")

    def __init__(self) -> None:
        self.tracks: list[PlacedTrack] = []
        self._next_align = 0.0

    def steer(self, track: PlacedTrack, timestamp: int, now: Monotonic) -> None:
        """Plan how the track's line goes on from `timestamp`.

        Sound that is being rendered leads: as long as it is off itself, the other tracks are off with it.
        """
        line = track.line
        assert line is not None
        if line.free or now >= self._next_align or timestamp - line.newest >= PAUSE * line.rate:
            self.align(now)
        leader = self._leader(now)
        if leader is None or leader is line:
            line.steer(timestamp, 0.0)
        else:
            line.steer(timestamp, leader.error, leader.slope)

    def align(self, now: Monotonic) -> None:
        """Compare the tracks on the publisher's clock, and say where all of them belong at this same moment."""
        self._next_align = now + SPAN
        transits = sorted(
            (
                (transit, number)
                for number, track in enumerate(self.tracks)
                if track.line is not None and not track.ended and (transit := track.line.transit(now)) is not None
            ),
        )
        agreeing = self._agreeing(transits)
        for transit, number in transits:
            track = self.tracks[number]
            track.believed = agreeing is not None and 0 <= transit - agreeing <= PLAUSIBLE
            if track.believed and agreeing is not None and len(transits) > 1:
                self._learn(track, transit - agreeing, now)
        for track in self.tracks:
            if track.line is not None:
                track.line.offset = track.line.least - track.skew

    def stalled(self, now: Monotonic) -> bool:
        """Whether nothing comes of what was coming until a moment ago."""
        newest = max((at for track in self.tracks if (at := track.sending_until()) is not None), default=None)
        return newest is not None and STALLED < now - newest < GIVEN_UP

    def _agreeing(self, transits: list[tuple[float, int]]) -> float | None:
        """The least transit of the largest group that agrees; None if no two of several tracks do."""
        if len(transits) <= 1:
            return transits[0][0] if transits else None
        largest, least = 1, None
        for at, (transit, _) in enumerate(transits):
            group = sum(other - transit <= PLAUSIBLE for other, _ in transits[at:])
            if group > largest:
                largest, least = group, transit
        return least

    def _learn(self, track: PlacedTrack, skew: float, now: Monotonic) -> None:
        assert track.line is not None
        if now - track.line.seen > IDLE:
            return
        news = track.skewed and not track.line.free and abs(skew - track.skew) > _NEWS
        if news and track.doubted_since is None:
            track.doubted_since = now
        if not news or (track.doubted_since is not None and now - track.doubted_since >= _CONFIRMED):
            track.skew, track.skewed, track.doubted_since = skew, True, None

    def _leader(self, now: Monotonic) -> PlacedLine | None:
        for track in self.tracks:
            line = track.line
            if line is not None and line.kind is Kind.AUDIO and not line.free and now - line.seen < _LEADING:
                return line
        return None
