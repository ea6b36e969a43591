"""One subscribed track on its way into a file: the sink that the room writes to, and its counters."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.room.events import Participant, SenderReportSeen, TrackPublication, TrackStats
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.progress import TrackProgress

#: Bit rates are averaged over this many seconds.
RATE_WINDOW = 2.0


class TrackTarget(Protocol):
    """The file (part of a file) that a feed writes to."""

    def begin_stream(self, feed: Feed, codec: Codec) -> None: ...

    def frame(self, feed: Feed, frame: EncodedFrame) -> None: ...

    def report(self, feed: Feed, report: SenderReportSeen) -> None: ...

    def end_stream(self, feed: Feed) -> None: ...


class Subscribed(Protocol):
    """What a feed needs of a `room.Subscription`."""

    @property
    def stats(self) -> TrackStats: ...

    def unsubscribe(self) -> None: ...


class Feed:
    """A `TrackSink` that hands frames to its target and remembers what progress shows."""

    def __init__(self, participant: Participant, track: TrackPublication, target: TrackTarget) -> None:
        self.identity = participant.identity
        self.name = participant.name
        self.track_id = track.sid
        self.source = track.source.value
        self.kind = track.kind
        self.codec = track.codec
        self.is_muted = track.muted
        self.ended = False
        self.target = target
        self.first_arrival: Monotonic | None = None
        self.last_arrival: Monotonic | None = None
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

    def end(self) -> None:
        """Nothing more comes: unpublished, left, or the recording ends. Idempotent."""
        if self.ended:
            return
        self.ended = True
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
        )

    def _forget(self, now: Monotonic) -> None:
        while self._recent and now - self._recent[0][0] > RATE_WINDOW:
            self._recent_octets -= self._recent.popleft()[1]
