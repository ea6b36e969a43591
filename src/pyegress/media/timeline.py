"""One clock for the streams of one recording: RTP ticks in, ticks since the recording began out.

A stream keeps its own RTP time exactly; what has to be found out is where it begins. First guess: arrival times.
Once both streams of a pair have sender reports, their capture times say it exactly (RFC 3550 section 6.4.1), and
`corrections` tells by how much the guesses were off, so that what is already recorded can be moved. After that the
audio's sample clock is the clock of the recording, and video follows it by a slow slew: a copied audio stream cannot
be stretched, a picture can come a tick earlier or later.

A first report can be wrong by a second and more. What reports claim is believed only if it agrees roughly with how long
the streams took to arrive.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.rtp.sender_report import SenderClock

#: Media cannot arrive before its time: this much ahead, and RTP time has jumped, seconds.
MAX_EARLY = 2.0
#: It may be late, when a path stalls and then delivers all at once; beyond this RTP time has jumped, seconds.
MAX_LATE = 10.0
#: Streams of one publisher take about equally long to arrive; reports that claim more than this are wrong, seconds.
PLAUSIBLE = 0.4
#: How fast video may follow the audio clock, seconds per second (0.5 %: below what anyone sees) ...
MAX_SLEW = 0.005
#: ... and while it is off by more than LARGE seconds, as after a stream that began anew: out of lip sync is worse.
FAST_SLEW, LARGE = 0.05, 0.02
#: Corrections below this are left to the slew, seconds.
NEGLIGIBLE = 0.003
#: What has been recorded for longer than this is not moved for a stream that joins late; the slew has to do, seconds.
LONG = 60.0
#: The least delay may rise this fast (clocks that run apart), seconds per second.
_CREEP = 0.001
#: Reports that the capture time of a recording's beginning is taken from; later ones carry the drift of the clocks.
_ORIGIN_REPORTS = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recording's tick 0 lies: on the sender's clock, and when it would have arrived with the least delay."""

    capture: Wall
    arrival: Monotonic

    @property
    def offset(self) -> float:
        """Monotonic seconds minus the sender's clock, least delay included."""
        return self.arrival - self.capture


class StreamTimeline:
    """Maps one stream's RTP timestamps to ticks of the recording, in the stream's own clock rate."""

    __slots__ = ("_anchor_rtp", "_anchor_ticks", "_seen", "_slewed_at", "codec", "lag", "last", "reports")

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.reports = SenderClock(codec.clock_rate, codec.kind)
        self._anchor_rtp: int | None = None
        self._anchor_ticks = 0
        self._slewed_at = 0
        self._seen = 0.0
        #: The newest tick handed out, -1 before the first.
        self.last = -1
        #: Seconds by which media arrives behind its place in the recording, when it is least delayed.
        self.lag: float | None = None

    @property
    def anchored(self) -> bool:
        """Whether a first frame has been placed."""
        return self._anchor_rtp is not None

    def anchor(self, rtp: int, ticks: int) -> None:
        """Say that RTP timestamp `rtp` is `ticks` of the recording."""
        self._anchor_rtp, self._anchor_ticks = rtp, ticks
        self._slewed_at = ticks
        self.lag = None

    def forget_stream(self) -> None:
        """A new RTP stream begins: its timestamps and reports have nothing to do with the former."""
        self._anchor_rtp = None
        self.reports = SenderClock(self.codec.clock_rate, self.codec.kind)

    def ticks(self, rtp: int) -> int:
        """Ticks of the recording for an RTP timestamp. The stream must be anchored."""
        assert self._anchor_rtp is not None
        return self._anchor_ticks + rtp - self._anchor_rtp

    def seconds(self, rtp: int) -> float:
        """Seconds of the recording for an RTP timestamp."""
        return self.ticks(rtp) / self.codec.clock_rate

    def jumped(self, lag: float) -> bool:
        """Whether a frame with this lag is out of all proportion to those before: RTP time has jumped."""
        return self.lag is not None and not -MAX_EARLY < lag - self.lag < MAX_LATE

    def arrived(self, lag: float, at: float) -> None:
        """A frame came `at` seconds with this lag: the least one counts, slowly forgotten."""
        if self.lag is None or lag < self.lag:
            self.lag = lag
        else:
            self.lag = min(lag, self.lag + _CREEP * max(0.0, at - self._seen))
        self._seen = at

    def shift(self, seconds: float) -> None:
        """Move everything, what was handed out included."""
        ticks = round(seconds * self.codec.clock_rate)
        self._anchor_ticks += ticks
        self._slewed_at += ticks
        self.last += ticks
        if self.lag is not None:
            self.lag -= seconds

    def follow(self, rtp: int, error: float) -> None:
        """Reduce `error` (seconds that the stream is late) as far as the slew allows since the last call."""
        now = self.ticks(rtp)
        elapsed = max(0, now - self._slewed_at) / self.codec.clock_rate
        most = elapsed * (FAST_SLEW if abs(error) > LARGE else MAX_SLEW)
        move = round(max(-most, min(most, error)) * self.codec.clock_rate)
        if move:
            self._anchor_ticks -= move
            self._slewed_at = now - move
            if self.lag is not None:
                self.lag += move / self.codec.clock_rate

    def capture(self, rtp: int) -> Wall | None:
        """When the sender captured it, on the sender's clock; None before the first report."""
        return self.reports.wall_of(rtp)

    def capture_of_zero(self) -> Wall | None:
        """When the sender captured tick 0 of the recording; None while unknown."""
        if self._anchor_rtp is None or (capture := self.capture(self._anchor_rtp)) is None:
            return None
        return Wall(capture - self._anchor_ticks / self.codec.clock_rate)

    def seconds_of_capture(self, at: Wall) -> float | None:
        """Seconds of the recording for a moment on the sender's clock; None while unknown."""
        if self._anchor_rtp is None or (rtp := self.reports.timestamp_of(at)) is None:
            return None
        return self.seconds(rtp)


class Timeline:
    """The clock of one recording with at most one audio and one video stream of one publisher."""

    def __init__(self) -> None:
        self._streams: dict[Hashable, StreamTimeline] = {}
        self._zero: Monotonic | None = None
        self._exact = False
        #: Tick 0 of a recording of one stream; None before the first sender report.
        self.origin: Origin | None = None

    @property
    def started(self) -> bool:
        return self._zero is not None

    @property
    def exact(self) -> bool:
        """Whether the streams are aligned by sender reports."""
        return self._exact

    def stream(self, key: Hashable) -> StreamTimeline:
        return self._streams[key]

    def begin_stream(self, key: Hashable, codec: Codec) -> None:
        """A media stream begins: the first one of a track, or a new one after a full reconnect."""
        known = self._streams.get(key)
        if known is None or known.codec is not codec:
            self._streams[key] = StreamTimeline(codec)
        else:
            known.forget_stream()

    def report(self, key: Hashable, sender_time: Wall, timestamp: int) -> None:
        """A sender report of a stream; reports of a stream that has not begun are nothing to us."""
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.reports.add(sender_time, timestamp)
        if len(self._streams) > 1 or stream.reports.reports > _ORIGIN_REPORTS:
            return
        if self._zero is not None and stream.lag is not None and (capture := stream.capture_of_zero()) is not None:
            self.origin = Origin(capture, Monotonic(self._zero + stream.lag))

    def elapsed(self, now: Monotonic) -> float:
        """Seconds of the recording at `now`, by arrival; 0 before the first frame."""
        return 0.0 if self._zero is None else max(0.0, now - self._zero)

    def place(self, key: Hashable, rtp: int, arrival: Monotonic) -> int:
        """Ticks since the recording began, in the stream's clock rate, never falling within a stream."""
        stream = self._streams[key]
        if self._zero is None:
            self._zero = arrival
        by_arrival = arrival - self._zero
        if stream.anchored and stream.jumped(by_arrival - stream.seconds(rtp)):
            stream.forget_stream()
        if not stream.anchored:
            at = by_arrival - self._usual_lag(stream)
            stream.anchor(rtp, max(0, round(at * stream.codec.clock_rate)))
        elif self._exact and stream.codec.kind is Kind.VIDEO:
            self._slew(stream, rtp)
        stream.arrived(by_arrival - stream.seconds(rtp), by_arrival)
        ticks = max(stream.ticks(rtp), stream.last + 1, 0)
        stream.last = ticks
        return ticks

    def corrections(self, *, final: bool = False) -> Mapping[Hashable, float] | None:
        """Seconds by which each stream has to move to be where the sender reports say, once; None while unknown.

        Applied to the timeline by the call: what was placed before must be moved by the caller. No correction is
        negative. `final`: no more reports will come; without them the fastest frames are believed.
        """
        anchored = {key: stream for key, stream in self._streams.items() if stream.anchored}
        if self._exact or len(anchored) < 2:
            return None
        arrivals = {key: stream.lag or 0.0 for key, stream in anchored.items()}
        starts = {key: start for key, stream in anchored.items() if (start := stream.capture_of_zero()) is not None}
        transits = [arrivals[key] - start for key, start in starts.items()]
        if len(starts) == len(anchored) and max(transits) - min(transits) <= PLAUSIBLE:
            self._exact = True
        elif final:
            starts = {key: Wall(lag) for key, lag in arrivals.items()}
        else:
            return None
        zero = min(starts.values())
        shifts = {key: start - zero for key, start in starts.items()}
        long = any(stream.last > LONG * stream.codec.clock_rate for stream in anchored.values())
        if long or max(shifts.values()) < NEGLIGIBLE:
            return dict.fromkeys(shifts, 0.0)
        for key, shift in shifts.items():
            anchored[key].shift(shift)
        return shifts

    def _usual_lag(self, stream: StreamTimeline) -> float:
        """How far arrivals are behind the recording by now: clocks run apart, and the first frames came late."""
        others = sorted(self._streams.values(), key=lambda other: other.codec.kind is not Kind.AUDIO)
        for other in (*others, stream):
            if other.anchored and other.lag is not None:
                return other.lag
        return stream.lag or 0.0

    def _slew(self, stream: StreamTimeline, rtp: int) -> None:
        audio = next((s for s in self._streams.values() if s.codec.kind is Kind.AUDIO and s.anchored), None)
        capture = stream.capture(rtp)
        if capture is None or audio is None or audio.lag is None or stream.lag is None:
            return
        # Where the audio clock says that this moment of capture is.
        exact = audio.seconds_of_capture(capture)
        if exact is None:
            return
        error = stream.seconds(rtp) - exact
        if abs(error - (audio.lag - stream.lag)) <= PLAUSIBLE:
            stream.follow(rtp, error)
