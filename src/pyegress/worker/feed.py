"""One subscribed track on its way into a file: the sink that the room writes to, and its counters."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from pyegress.clock import Monotonic, Wall, monotonic
from pyegress.codecs import Codec
from pyegress.lifecycle.timeline import Span, TrackSpan
from pyegress.room.events import Participant, SenderReportSeen, TrackPublication, TrackStats
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.progress import TrackProgress

#: Bit rates are averaged over this many seconds.
RATE_WINDOW = 2.0
#: A track that is not muted and brings nothing for this long is worth a word, seconds.
SILENT_AFTER = 8.0


class TrackTarget(Protocol):
    """The file (part of a file) that a feed writes to."""

    def begin_stream(self, feed: Feed, codec: Codec) -> None: ...

    def frame(self, feed: Feed, frame: EncodedFrame) -> None: ...

    def report(self, feed: Feed, report: SenderReportSeen) -> None: ...

    def end_stream(self, feed: Feed) -> None: ...


@dataclass(frozen=True, slots=True)
class FanOut:
    """A `TrackTarget` of two."""

    first: TrackTarget
    second: TrackTarget

    def begin_stream(self, feed: Feed, codec: Codec) -> None:
        self.first.begin_stream(feed, codec)
        self.second.begin_stream(feed, codec)

    def frame(self, feed: Feed, frame: EncodedFrame) -> None:
        self.first.frame(feed, frame)
        self.second.frame(feed, frame)

    def report(self, feed: Feed, report: SenderReportSeen) -> None:
        self.first.report(feed, report)
        self.second.report(feed, report)

    def end_stream(self, feed: Feed) -> None:
        self.first.end_stream(feed)
        self.second.end_stream(feed)


class Subscribed(Protocol):
    """What a feed needs of a `room.Subscription`."""

    @property
    def stats(self) -> TrackStats: ...

    def request_keyframe(self, now: Monotonic) -> None: ...

    def unsubscribe(self) -> None: ...


class Feed:
    """A `TrackSink` that hands frames to its target and remembers what progress shows.

    `rank` tells later publications from earlier ones; `now` is when the track was asked for.
    """

    def __init__(
        self, participant: Participant, track: TrackPublication, target: TrackTarget, *, rank: int, now: Monotonic
    ) -> None:
        self.rank = rank
        self.identity = participant.identity
        self.name = participant.name
        self.track_id = track.sid
        self.source = track.source.value
        self.kind = track.kind
        self.codec = track.codec
        #: Pixels as published, and of the newest key frame; (0, 0) while unknown.
        self.size = track.size
        self.picture_size = (0, 0)
        #: When it was muted and unmuted again (None: it still is).
        self.mutes: list[tuple[Monotonic, Monotonic | None]] = [(now, None)] if track.muted else []
        self.ended = False
        self.ended_at: Monotonic | None = None
        self.target = target
        self.first_arrival: Monotonic | None = None
        self.last_arrival: Monotonic | None = None
        #: Since when something should come.
        self._expecting = now
        self.subscription: Subscribed | None = None
        self._recent: deque[tuple[Monotonic, int]] = deque()
        self._recent_octets = 0

    # -- TrackSink ------------------------------------------------------------------------------------------------

    def on_stream(self, codec: Codec) -> None:
        self.codec = codec
        self.target.begin_stream(self, codec)

    def on_frame(self, frame: EncodedFrame) -> None:
        if self.first_arrival is None:
            self.first_arrival = frame.arrival
        self.last_arrival = frame.arrival
        if frame.size is not None:
            self.picture_size = frame.size
        self._recent.append((frame.arrival, len(frame.payload)))
        self._recent_octets += len(frame.payload)
        if frame.arrival - self._recent[0][0] > RATE_WINDOW:
            self._forget(frame.arrival)
        self.target.frame(self, frame)

    def on_sender_report(self, report: SenderReportSeen) -> None:
        self.target.report(self, report)

    def on_ended(self) -> None:
        self.end()

    # -- the session ----------------------------------------------------------------------------------------------

    @property
    def is_muted(self) -> bool:
        return bool(self.mutes) and self.mutes[-1][1] is None

    def set_muted(self, muted: bool, now: Monotonic) -> None:
        """The publisher muted or unmuted the track."""
        if muted and not self.is_muted:
            self.mutes.append((now, None))
        elif not muted and self.is_muted:
            self.mutes[-1] = (self.mutes[-1][0], now)
            self._expecting = now

    def expect_from(self, now: Monotonic) -> None:
        """Nothing could come before `now`: the connection was away."""
        self._expecting = now

    def silent_for(self, now: Monotonic) -> float:
        """Seconds for which nothing has come that should have; 0 while muted or ended."""
        if self.ended or self.is_muted:
            return 0.0
        return max(0.0, now - max(self._expecting, self.last_arrival or self._expecting))

    def request_keyframe(self, now: Monotonic) -> None:
        """Ask the publisher for a key frame. Any number of times: it is sent once."""
        if self.subscription is not None and not self.ended:
            self.subscription.request_keyframe(now)

    def end(self) -> None:
        """Nothing more comes: unpublished, left, or the recording ends. Idempotent."""
        if self.ended:
            return
        self.ended = True
        self.ended_at = monotonic()
        if self.subscription is not None:
            self.subscription.unsubscribe()
        self.target.end_stream(self)

    def progress(self, now: Monotonic) -> TrackProgress:
        """What the live line shows of this track."""
        self._forget(now)
        stats = self.subscription.stats if self.subscription is not None else TrackStats()
        expected = stats.packets + stats.packets_lost
        return TrackProgress(
            track_id=self.track_id,
            identity=self.identity,
            source=self.source,
            codec=self.codec.label if self.codec else "",
            muted=self.is_muted,
            bitrate=self._recent_octets * 8 / RATE_WINDOW,
            loss=stats.packets_lost / expected if expected else 0.0,
            frames=stats.frames,
            silent=self.silent_for(now),
        )

    def track_span(self, utc_offset: float) -> TrackSpan | None:
        """When it was there; `utc_offset` is UTC less the monotonic clock. None when nothing of it arrived."""
        begun = self.first_arrival
        if begun is None:
            return None

        def utc(at: Monotonic) -> Wall:
            return Wall(round(at + utc_offset, 6))

        muted = ((max(begin, begun), end) for begin, end in self.mutes if end is None or end > begun)
        return TrackSpan(
            track_id=self.track_id,
            identity=self.identity,
            name=self.name,
            kind=self.kind.value,
            source=self.source,
            codec=self.codec.label if self.codec else "",
            span=Span(utc(begun), utc(self.ended_at) if self.ended_at is not None else None),
            muted=tuple(Span(utc(begin), utc(end) if end is not None else None) for begin, end in muted),
        )

    def _forget(self, now: Monotonic) -> None:
        while self._recent and now - self._recent[0][0] > RATE_WINDOW:
            self._recent_octets -= self._recent.popleft()[1]
