"""One subscribed track: its receivers, one after the other, and the sink that they write to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.room.events import SenderReportSeen, TrackPublication, TrackSink, TrackStats
from pyegress.room.negotiation import MediaStream
from pyegress.room.silence import SilenceWatch
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.receiver import ReceiverStats, TrackReceiver
from pyegress.rtp.rtcp import SenderReport

log = logging.getLogger(__name__)

_COUNTERS = tuple(field.name for field in fields(TrackStats) if field.name != "jitter")
_T = TypeVar("_T")


class Subscription:
    """A track that we asked for; made by `Room.subscribe`. Lasts over reconnects, until `ended`."""

    def __init__(
        self,
        track: TrackPublication,
        publisher_sid: str,
        sink: TrackSink,
        *,
        latency: float,
        own_ssrc: int,
        unsubscribe: Callable[[Subscription], None],
    ) -> None:
        self.track_sid = track.sid
        self.kind = track.kind
        #: True once `on_ended` of the sink was called.
        self.ended = False
        #: Unpublished; what is still on its way is taken.
        self.leaving = False
        self.publisher_sid = publisher_sid
        self.muted = track.muted
        self.stream: MediaStream | None = None
        self.receiver: TrackReceiver | None = None
        self.watch = SilenceWatch()
        self._sink = sink
        self._latency = latency
        self._own_ssrc = own_ssrc
        self._unsubscribe = unsubscribe
        self._past = TrackStats()
        #: The sink is being called, perhaps from within the receiver, which must not be called back.
        self._calling = False
        self._broken = False

    @property
    def stats(self) -> TrackStats:
        """Counters since the beginning, all streams together; the jitter is that of the current stream."""
        total = TrackStats(**{name: getattr(self._past, name) for name in _COUNTERS})
        if self.receiver is not None:
            _add(total, self.receiver.stats)
        return total

    @property
    def packets(self) -> int:
        """`stats.packets`, cheaper."""
        return self._past.packets + (self.receiver.stats.packets if self.receiver is not None else 0)

    def unsubscribe(self) -> None:
        """Hand over what still waits, end the sink, and tell the server. May be called again, also by the sink."""
        if self._calling:
            asyncio.get_running_loop().call_soon(self._unsubscribe, self)
        else:
            self._unsubscribe(self)

    def request_keyframe(self, now: Monotonic) -> None:
        """Ask the publisher for a key frame, within a second at most: somebody begins with it. May be called by the
        sink."""
        if self.receiver is not None:
            self.receiver.request_keyframe(now)

    def begin(self, stream: MediaStream, now: Monotonic) -> None:
        """Receive from now on what this stream brings; the former stream is over."""
        self.stop(now)
        self.stream = stream
        self.receiver = TrackReceiver(
            ssrc=stream.ssrc,
            rtx_ssrc=stream.rtx_ssrc,
            payload_types=stream.formats,
            latency=self._latency,
            sink=self,
            now=now,
            sender_ssrc=self._own_ssrc,
        )
        if self.muted:
            self.receiver.set_muted(True, now)

    def stop(self, now: Monotonic) -> None:
        """The stream is over: hand over what it still holds."""
        if self.receiver is not None:
            receiver, self.receiver, self.stream = self.receiver, None, None
            receiver.flush(now)
            _add(self._past, receiver.stats)

    def set_muted(self, muted: bool, now: Monotonic) -> None:
        """The publisher muted or unmuted the track."""
        self.muted = muted
        if self.receiver is not None:
            self.receiver.set_muted(muted, now)
        if muted:
            self.watch.rest()
        else:
            self.watch.unmuted(self.kind, self.packets, now)

    def sender_report(self, report: SenderReport, now: Monotonic) -> None:
        """Give a sender report of the current stream to its receiver and to the sink."""
        if self.receiver is None:
            return
        timestamp = self.receiver.sender_report(report, now)
        self._call(self._sink.on_sender_report, SenderReportSeen(report.wall, timestamp, now))

    def end(self, now: Monotonic) -> None:
        """Nothing more will come."""
        if not self.ended:
            self.stop(now)
            self.ended = True
            try:
                self._sink.on_ended()
            except Exception:
                log.exception("the sink of track %s failed at its end", self.track_sid)

    # What TrackReceiver calls (ReceiverSink).

    def on_frame(self, frame: EncodedFrame) -> None:
        self._call(self._sink.on_frame, frame)

    def on_codec(self, codec: Codec) -> None:
        log.debug("track %s: a stream of %s begins", self.track_sid, codec.label)
        self._call(self._sink.on_stream, codec)

    def _call(self, method: Callable[[_T], None], argument: _T) -> None:
        """A sink must not raise. One that does loses its track; the others never notice."""
        if self._broken or self.ended:
            return
        self._calling = True
        try:
            method(argument)
        except Exception:
            log.exception("the sink of track %s failed; the track is given up", self.track_sid)
            self._broken = True
            asyncio.get_running_loop().call_soon(self._unsubscribe, self)
        finally:
            self._calling = False


def _add(total: TrackStats, other: ReceiverStats) -> None:
    for name in _COUNTERS:
        setattr(total, name, getattr(total, name) + getattr(other, name))
    total.jitter = other.jitter
