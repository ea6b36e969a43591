"""The clock of a recording of many publishers: where each frame lies on the recorder's monotonic clock.

A frame is placed at the moment at which it would have arrived with the least delay of its publisher: what the tracks of
a publisher captured together comes out together, as their sender reports say (RFC 3550 section 6.4.1), and publishers
lie to each other as their fastest packets do. Late frames move nothing.
"""

from __future__ import annotations

from collections.abc import Hashable

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec
from pyegress.media.placed_line import EARLY, PlacedLine
from pyegress.media.publisher_clock import PlacedTrack, PublisherClock

#: How long after its first frame a track is waited for to have sender reports, seconds; they come after 2.3-3.0 s.
PATIENCE = 3.5
#: Frames that come this much earlier than the fastest before, or later, are of another line: RTP time jumped, seconds.
MAX_EARLY, MAX_LATE = 2.0, 10.0
#: The first frames of a track come late by up to 0.3 s and catch up within this time; it shows a jump if later ones are
#: early by more than placed_line.EARLY, seconds.
SETTLED = 5.0
#: Frames that all come later than this for STANDING seconds, without catching up, are of a new line: its time stood
#: still in a mute, or they would be dropped for being late for ever.
LATE, STANDING = 0.8, 1.0
_CATCHING_UP = 0.05
#: Lines and early reports that are remembered for a track.
_LINES, _PENDING = 4, 8
#: Ended tracks are forgotten when rendering has been beyond their end for this long, seconds.
_FORGOTTEN = 30.0


class SessionTimeline:
    """Places the frames of any number of tracks. All times are seconds of one monotonic clock, handed in.

    `exact`: the recording can wait for sender reports, so `waiting` says when it should. Either way a track is placed
    anew, at once, until something of it has been rendered; from then on its place is slewed: sound by at most 0.4 %,
    pictures by 0.5 %, or 5 % while they are off by more than 20 ms. Ask for a place when the frame is due, not when it
    arrives. What has been asked for stays the same once it has been rendered.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._tracks: dict[Hashable, PlacedTrack] = {}
        self._publishers: dict[str, PublisherClock] = {}
        self._rendered: Monotonic | None = None

    def begin_stream(self, track: Hashable, publisher: str, codec: Codec) -> None:
        """A media stream begins: the first of its track, or one whose timestamps have nothing to do with the former."""
        self._forget_ended()
        clock = self._publishers.setdefault(publisher, PublisherClock())
        known = self._tracks.get(track)
        if known is None or known.publisher is not clock:
            if known is not None:
                known.publisher.tracks.remove(known)
            known = self._tracks[track] = PlacedTrack(codec, clock)
            clock.tracks.append(known)
        if known.codec.kind is not codec.kind:
            known.skew, known.skewed = 0.0, False
        known.codec = codec
        known.past = (known.past + known.lines)[-_LINES:]
        known.lines = []
        known.line = known.doubted_since = None
        known.believed = known.ended = False
        known.pending.clear()

    def end_stream(self, track: Hashable) -> None:
        """Nothing more comes of a track. The places of its frames stay known until they have been rendered."""
        known = self._tracks.get(track)
        if known is not None:
            known.ended = True

    def muted(self, track: Hashable, at: Monotonic) -> None:
        """A track is muted since `at`: until more comes of it, nothing is expected."""
        if (known := self._tracks.get(track)) is not None:
            known.muted_at = at

    def arrived(self, track: Hashable, timestamp: int, arrival: Monotonic) -> None:
        """A frame arrived. To be called for every frame, also for those that are late, before its place is asked for.

        Raises KeyError for a track that has not begun.
        """
        known = self._tracks[track]
        line = known.line
        if line is None:
            line = self._begin_line(known, timestamp, arrival)
        else:
            lag = line.lag(timestamp, arrival)
            if lag > LATE or lag < -line.early:
                line = self._examine(known, line, timestamp, arrival, lag)
            else:
                line.behind_since = None
        line.arrived(timestamp, arrival)
        if timestamp >= line.next_plan or line.free:
            self._plan(known, line, max(timestamp, line.newest), arrival)
        if timestamp > line.newest:
            line.newest = timestamp

    def report(self, track: Hashable, sender_time: Wall, timestamp: int, arrival: Monotonic) -> None:
        """A sender report of a track; of a track that has not begun it is nothing to us."""
        known = self._tracks.get(track)
        if known is None:
            return
        line = known.line
        if line is None or not -MAX_LATE < line.lag(timestamp, arrival) < MAX_LATE:
            known.pending.append((sender_time, timestamp, arrival))
            del known.pending[:-_PENDING]
            return
        line.clock.add(sender_time, timestamp)
        known.publisher.align(arrival)
        for other in known.publisher.tracks:
            if other.line is not None:
                self._plan_free(other, other.line, arrival)

    def rendered(self, until: Monotonic) -> None:
        """Everything before `until` has been rendered, or is about to be: it cannot be placed anew."""
        self._rendered = until

    def place(self, track: Hashable, timestamp: int) -> Monotonic:
        """When a frame that has arrived would have arrived with the least delay: its moment of the output.

        Raises KeyError for a track that has had no frame.
        """
        known = self._tracks[track]
        line = known.line
        if line is None or not line.first <= timestamp <= line.newest:
            line = _line_of(known, timestamp)
            if line is None:
                raise KeyError(track)
        return line.place(timestamp)

    def aligned(self, track: Hashable) -> bool:
        """Whether sender reports say exactly where the track lies."""
        known = self._tracks.get(track)
        return known is not None and known.believed

    def waiting(self, now: Monotonic) -> bool:
        """Whether it is worth to wait: a new track will soon have sender reports, or a publisher who sent until a
        moment ago is held up by the network."""
        return self._exact and (
            any(
                known.line is not None
                and not known.believed
                and not known.ended
                and known.line is known.lines[0]
                and now - known.line.begun < PATIENCE
                for known in self._tracks.values()
            )
            or any(publisher.stalled(now) for publisher in self._publishers.values())
        )

    def earliest(self) -> Monotonic | None:
        """Where the first of all frames lies; None before it."""
        lines = (line for known in self._tracks.values() for line in (*known.past, *known.lines))
        return min((line.place(line.first) for line in lines), default=None)

    def _begin_line(self, known: PlacedTrack, timestamp: int, arrival: Monotonic) -> PlacedLine:
        line = known.line = PlacedLine(known.codec, timestamp, arrival)
        known.lines.append(line)
        del known.lines[:-_LINES]
        known.doubted_since = None
        for sender_time, reported, at in known.pending:
            if -MAX_LATE < line.lag(reported, Monotonic(at)) < MAX_LATE:
                line.clock.add(Wall(sender_time), reported)
        known.pending.clear()
        known.publisher.align(arrival)
        return line

    def _examine(
        self, known: PlacedTrack, line: PlacedLine, timestamp: int, arrival: Monotonic, lag: float
    ) -> PlacedLine:
        """A frame is early or late beyond measure: the line that it belongs to, a new one if RTP time has jumped."""
        if 0 < lag < MAX_LATE and not self._stands_behind(line, arrival, lag):
            return line
        for former in reversed(known.lines):
            if former is not line and -EARLY < former.lag(timestamp, arrival) < EARLY:
                known.lines.remove(former)
                known.lines.append(former)
                known.line = former
                return former
        if -EARLY < lag < 0 or (-MAX_EARLY < lag < 0 and arrival - line.begun <= SETTLED):
            return line
        anew = self._begin_line(known, timestamp, arrival)
        if 0 < lag < MAX_LATE:
            anew.early = 0.0  # when the path recovers, the former line continues
        return anew

    def _stands_behind(self, line: PlacedLine, arrival: Monotonic, lag: float) -> bool:
        """Whether frames have been late for a while without catching up, as they do after a stall."""
        if line.behind_since is None or lag < line.behind - _CATCHING_UP:
            line.behind_since, line.behind = arrival, lag
        return arrival - line.behind_since >= STANDING

    def _plan(self, known: PlacedTrack, line: PlacedLine, timestamp: int, now: Monotonic) -> None:
        if line.free and self._rendered is not None and line.place(line.first) < self._rendered:
            line.free = False
        known.publisher.steer(known, timestamp, now)

    def _plan_free(self, known: PlacedTrack, line: PlacedLine, now: Monotonic) -> None:
        if line.free:
            self._plan(known, line, line.newest, now)

    def _forget_ended(self) -> None:
        if self._rendered is None:
            return
        for track, known in list(self._tracks.items()):
            if known.ended and all(line.place(line.newest) + _FORGOTTEN < self._rendered for line in known.lines):
                del self._tracks[track]
                known.publisher.tracks.remove(known)
        for name, clock in list(self._publishers.items()):
            if not clock.tracks:
                del self._publishers[name]


def _line_of(known: PlacedTrack, timestamp: int) -> PlacedLine | None:
    """The line whose timestamps are the nearest; of equally near ones the newest."""

    def distance(line: PlacedLine) -> float:
        return max(line.first - timestamp, timestamp - line.newest, 0) / line.rate

    return min((*reversed(known.lines), *reversed(known.past)), key=distance, default=None)
