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

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.rtp.sender_report import SenderClock

#: Arrival and RTP time may disagree by this much before RTP time is taken to have jumped, seconds.
MAX_DISAGREEMENT = 2.0
#: How fast video follows the audio clock, seconds per second (0.5 %: below what anyone sees), and how fast while it is
#: off by more than COARSE seconds: after a republish or a reconnect.
MAX_SLEW, FAST_SLEW, COARSE = 0.005, 0.05, 0.02
#: Streams of one publisher take about equally long to arrive; reports that claim more than this are wrong, seconds.
PLAUSIBLE = 0.4
#: Corrections below this are left to the slew, seconds.
NEGLIGIBLE = 0.003


class StreamTimeline:
    """Maps one stream's RTP timestamps to ticks of the recording, in the stream's own clock rate."""

    __slots__ = ("_anchor_rtp", "_anchor_ticks", "_lag", "_slewed_at", "codec", "fastest", "last", "reports")

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.reports = SenderClock(codec.clock_rate, codec.kind)
        self._anchor_rtp: int | None = None
        self._anchor_ticks = 0
        self._slewed_at = 0
        self._lag = 0.0
        #: Arrival of RTP timestamp 0 by the frame that was fastest, monotonic seconds.
        self.fastest = float("inf")
        #: The newest tick handed out, -1 before the first.
        self.last = -1

    @property
    def anchored(self) -> bool:
        """Whether a first frame has been placed."""
        return self._anchor_rtp is not None

    def anchor(self, rtp: int, ticks: int) -> None:
        """Say that RTP timestamp `rtp` is `ticks` of the recording."""
        self._anchor_rtp, self._anchor_ticks = rtp, ticks
        self._slewed_at = ticks

    def arrived(self, rtp: int, arrival: Monotonic, elapsed: float) -> None:
        """Look at a frame's arrival, `elapsed` seconds into the recording; if RTP time jumped a new stream begins."""
        if self.anchored:
            lag = elapsed - self.seconds(rtp)
            # Against the last frame, not the first: clocks of other speed differ by seconds after some hours.
            if abs(lag - self._lag) > MAX_DISAGREEMENT:
                self.forget_stream()
            self._lag = lag
        self.fastest = min(self.fastest, arrival - rtp / self.codec.clock_rate)

    def forget_stream(self) -> None:
        """A new RTP stream begins: its timestamps and reports have nothing to do with the former."""
        self._anchor_rtp = None
        self.fastest = float("inf")
        self.reports = SenderClock(self.codec.clock_rate, self.codec.kind)

    def ticks(self, rtp: int) -> int:
        """Ticks of the recording for an RTP timestamp. The stream must be anchored."""
        assert self._anchor_rtp is not None
        return self._anchor_ticks + rtp - self._anchor_rtp

    def seconds(self, rtp: int) -> float:
        """Seconds of the recording for an RTP timestamp."""
        return self.ticks(rtp) / self.codec.clock_rate

    def shift(self, seconds: float) -> None:
        """Move everything that follows."""
        self._anchor_ticks += round(seconds * self.codec.clock_rate)
        self.last = -1

    def follow(self, rtp: int, error: float) -> None:
        """Reduce `error` (seconds that the stream is late) as far as the slew allows since the last call."""
        now = self.ticks(rtp)
        elapsed = max(0, now - self._slewed_at) / self.codec.clock_rate
        most = elapsed * (MAX_SLEW if abs(error) <= COARSE else FAST_SLEW)
        step = max(-most, min(most, error))
        move = round(step * self.codec.clock_rate)
        if move:
            self._anchor_ticks -= move
            self._slewed_at = now

    def capture(self, rtp: int) -> Wall | None:
        """When the sender captured it, on the sender's clock; None before the first report."""
        return self.reports.wall_of(rtp)

    def capture_of_start(self) -> float | None:
        """When tick 0 of the recording was captured, by this stream's reports; None before the first."""
        assert self._anchor_rtp is not None
        capture = self.capture(self._anchor_rtp)
        return None if capture is None else capture - self._anchor_ticks / self.codec.clock_rate

    def arrival_of_start(self) -> float:
        """When tick 0 of the recording would have arrived with this stream's fastest frame."""
        assert self._anchor_rtp is not None
        return self.fastest + (self._anchor_rtp - self._anchor_ticks) / self.codec.clock_rate


class Timeline:
    """The clock of one recording with at most one audio and one video stream of one publisher."""

    def __init__(self) -> None:
        self._streams: dict[Hashable, StreamTimeline] = {}
        self._zero: Monotonic | None = None
        #: Capture time of tick 0 on the sender's clock, once exact.
        self._capture_zero: Wall | None = None

    @property
    def started(self) -> bool:
        return self._zero is not None

    @property
    def exact(self) -> bool:
        """Whether the streams are aligned by sender reports."""
        return self._capture_zero is not None

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
        """A sender report of a stream that has begun."""
        self._streams[key].reports.add(sender_time, timestamp)

    def elapsed(self, now: Monotonic) -> float:
        """Seconds of the recording at `now`, by arrival; 0 before the first frame."""
        return 0.0 if self._zero is None else max(0.0, now - self._zero)

    def place(self, key: Hashable, rtp: int, arrival: Monotonic) -> int:
        """Ticks since the recording began, in the stream's clock rate, never falling within a stream."""
        stream = self._streams[key]
        if self._zero is None:
            self._zero = arrival
        by_arrival = arrival - self._zero
        stream.arrived(rtp, arrival, by_arrival)
        if not stream.anchored:
            stream.anchor(rtp, self._first_tick(stream, rtp, by_arrival))
            stream.arrived(rtp, arrival, by_arrival)
        elif self._capture_zero is not None and stream.codec.kind is Kind.VIDEO:
            self._slew(stream, rtp)
        ticks = max(stream.ticks(rtp), stream.last + 1, 0)
        stream.last = ticks
        return ticks

    def corrections(self, *, final: bool = False) -> Mapping[Hashable, float] | None:
        """Seconds by which each stream has to move to be where the sender reports say, once; None while unknown.

        Applied to the timeline by the call: what was placed before must be moved by the caller. No correction is
        negative. `final`: no more reports will come; without them the fastest frames are believed.
        """
        anchored = {key: stream for key, stream in self._streams.items() if stream.anchored}
        if self._capture_zero is not None or len(anchored) < 2:
            return None
        arrivals = {key: stream.arrival_of_start() for key, stream in anchored.items()}
        starts = {key: start for key, stream in anchored.items() if (start := stream.capture_of_start()) is not None}
        transits = [arrivals[key] - start for key, start in starts.items()]
        if len(starts) == len(anchored) and max(transits) - min(transits) <= PLAUSIBLE:
            self._capture_zero = Wall(min(starts.values()))
        elif final:
            starts = arrivals
        else:
            return None
        first = min(starts.values())
        shifts = {key: start - first for key, start in starts.items()}
        if max(shifts.values()) < NEGLIGIBLE:
            return dict.fromkeys(shifts, 0.0)
        for key, shift in shifts.items():
            anchored[key].shift(shift)
        return shifts

    def _first_tick(self, stream: StreamTimeline, rtp: int, by_arrival: float) -> int:
        capture = stream.capture(rtp)
        at = by_arrival
        if self._capture_zero is not None and capture is not None:
            exact = capture - self._capture_zero
            if abs(exact - by_arrival) <= MAX_DISAGREEMENT:
                at = exact
        return max(0, round(at * stream.codec.clock_rate))

    def _slew(self, stream: StreamTimeline, rtp: int) -> None:
        audio = next((s for s in self._streams.values() if s.codec.kind is Kind.AUDIO and s.anchored), None)
        capture = stream.capture(rtp)
        if capture is None or audio is None or audio.reports.reports == 0:
            return
        # Where the audio clock says that this moment of capture is.
        audio_rtp = audio.reports.timestamp_of(capture)
        if audio_rtp is None:
            return
        error = stream.seconds(rtp) - audio.ticks(audio_rtp) / audio.codec.clock_rate
        if abs(error) < MAX_DISAGREEMENT:
            stream.follow(rtp, error)
