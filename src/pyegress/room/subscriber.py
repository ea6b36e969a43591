"""Subscribed tracks: from datagrams by SSRC to receivers, and from receivers to RTCP."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from livekit.protocol.models import ParticipantTracks, VideoQuality
from livekit.protocol.rtc import SignalRequest, UpdateSubscription, UpdateTrackSettings

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Kind
from pyegress.room.events import Participant, TrackPublication, TrackSink
from pyegress.room.negotiation import MediaStream
from pyegress.room.silence import Cure
from pyegress.room.subscription import Subscription
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.jitter import NEVER
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.receiver import TrackReceiver
from pyegress.rtp.rtcp import ReceiverReport, RtcpPacket, SenderReport, SourceDescription, build, parse

log = logging.getLogger(__name__)

#: Seconds for which an unpublished track still takes packets: the news travels faster than the last media.
LINGER = 0.25
#: Packets may come before the offer that announces their SSRC is applied. So many are kept, for so long (s).
HELD_PACKETS = 512
HELD_SECONDS = 2.0
#: Report blocks in one RTCP packet (RFC 3550 section 6.4.1: a count of 5 bits).
_MAX_BLOCKS = 31
#: Feedback packets in one datagram, so that it stays below every MTU.
_MAX_FEEDBACK = 24
#: Seconds between looks whether feedback can be sent again.
_UNCONNECTED = 0.05
#: The server debounces settings for 100 ms; a toggle must be slower than that.
_TOGGLE_SECONDS = 0.3

_Receive = Callable[[RtpPacket, Monotonic], None]


class MediaPath:
    """The transport of the moment, as the subscriber needs it; the room puts the real one in."""

    def __init__(self) -> None:
        self.send_rtcp: Callable[[bytes], None] = lambda data: None
        self.rtt: Callable[[], float | None] = lambda: None
        self.connected: Callable[[], bool] = lambda: False


class Subscriber:
    """All subscriptions of a room, over all its sessions. Runs on the event loop, one timer for all receivers.

    `request` sends a signal request, or keeps it until signalling is back.
    """

    def __init__(self, *, latency: float, path: MediaPath, request: Callable[[SignalRequest], None]) -> None:
        self._latency = latency
        self._path = path
        self._request = request
        self._subscriptions: dict[str, Subscription] = {}
        self._streams: dict[str, MediaStream] = {}
        #: By SSRC; None for streams that are announced and not wanted.
        self._routes: dict[int, tuple[_Receive, TrackReceiver] | None] = {}
        self._by_ssrc: dict[int, Subscription] = {}
        self._held: deque[tuple[bytes, Monotonic]] = deque(maxlen=HELD_PACKETS)
        self._due = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._reporter: asyncio.TimerHandle | None = None
        self._later: set[asyncio.TimerHandle] = set()
        self._closed = False
        self._ssrc = secrets.randbits(32)
        self._cname = secrets.token_hex(8)
        #: Datagrams that were not RTP or RTCP.
        self.malformed = 0

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """By track sid."""
        return self._subscriptions

    # What the room asks for

    def subscribe(self, participant: Participant, track: TrackPublication, sink: TrackSink) -> Subscription:
        """Ask for a track, at the highest quality that it has. Its former subscription must have ended."""
        self._finish(track.sid)
        subscription = Subscription(
            track,
            participant.sid,
            sink,
            latency=self._latency,
            own_ssrc=self._ssrc,
            unsubscribe=self._unsubscribe,
        )
        self._subscriptions[track.sid] = subscription
        self._ask(subscription)
        self._reroute(monotonic())
        if self._reporter is None:
            self._schedule_report()
        return subscription

    def ended(self, track_sid: str) -> None:
        """The track was unpublished: its last packets may still be on their way."""
        if subscription := self._subscriptions.get(track_sid):
            subscription.leaving = True
            self._call_later(LINGER, lambda: self._finish_this(subscription))

    def failed(self, track_sid: str) -> None:
        """The server will not send this track."""
        self._finish(track_sid)

    def muted(self, track_sid: str, muted: bool) -> None:
        """The publisher muted or unmuted a track."""
        if subscription := self._subscriptions.get(track_sid):
            subscription.set_muted(muted, monotonic())

    def state(self) -> UpdateSubscription:
        """All subscriptions, for `SyncState`."""
        by_publisher: dict[str, list[str]] = {}
        for subscription in self._subscriptions.values():
            by_publisher.setdefault(subscription.publisher_sid, []).append(subscription.track_sid)
        return UpdateSubscription(
            subscribe=True,
            participant_tracks=[
                ParticipantTracks(participant_sid=sid, track_sids=tracks) for sid, tracks in by_publisher.items()
            ],
        )

    def detach(self) -> None:
        """The session is over and another one may follow: hand over what waits and forget all streams."""
        now = monotonic()
        self._streams = {}
        self._held.clear()
        for subscription in self._subscriptions.values():
            subscription.stop(now)
            subscription.watch.rest()
        self._reroute(now)

    def attach(self, publisher_of: Callable[[str], tuple[Participant, TrackPublication] | None]) -> None:
        """A new session began: ask again for what is still published, and end the rest."""
        for sid, subscription in list(self._subscriptions.items()):
            if (found := publisher_of(sid)) is None:
                self._finish(sid)
                continue
            subscription.publisher_sid = found[0].sid
            subscription.muted = found[1].muted
            self._ask(subscription)

    def close(self) -> None:
        """End every subscription. May be called again."""
        self._closed = True
        for sid in list(self._subscriptions):
            self._finish(sid)
        for handle in (self._timer, self._reporter, *self._later):
            if handle is not None:
                handle.cancel()
        self._timer = self._reporter = None
        self._later.clear()
        self._held.clear()

    # What negotiation and the transport bring

    def announced(self, streams: Iterable[MediaStream]) -> None:
        """The streams of a new offer."""
        self._streams = {stream.track_sid: stream for stream in streams}
        self._reroute(monotonic())

    def on_rtp(self, data: bytes, now: Monotonic) -> None:
        """One RTP packet, unprotected."""
        ssrc = int.from_bytes(data[8:12], "big")
        try:
            route = self._routes[ssrc]
        except KeyError:
            self._held.append((data, now))
            return
        if route is None:
            return
        try:
            packet = RtpPacket.parse(data)
        except ProtocolError:
            self.malformed += 1
            return
        receive, receiver = route
        receive(packet, now)
        due = receiver.next_poll()
        if due is not None and due < self._due:
            self._arm(due, now)

    def on_rtcp(self, data: bytes, now: Monotonic) -> None:
        """One RTCP datagram, unprotected: the sender reports of all tracks come in one."""
        try:
            packets = parse(data)
        except ProtocolError:
            self.malformed += 1
            return
        for packet in packets:
            if isinstance(packet, SenderReport) and (subscription := self._by_ssrc.get(packet.ssrc)):
                subscription.sender_report(packet, now)

    # Inside

    def _ask(self, subscription: Subscription) -> None:
        self._request(_subscription_request(subscription, True))
        if subscription.kind is Kind.VIDEO:
            self._request(_settings_request(subscription, disabled=False))
        if not subscription.muted:
            subscription.watch.subscribed(subscription.packets, monotonic())

    def _unsubscribe(self, subscription: Subscription) -> None:
        if self._subscriptions.get(subscription.track_sid) is subscription:
            self._request(_subscription_request(subscription, False))
            self._finish(subscription.track_sid)

    def _finish(self, track_sid: str) -> None:
        subscription = self._subscriptions.pop(track_sid, None)
        if subscription is not None:
            now = monotonic()
            subscription.end(now)
            if not self._closed:
                self._reroute(now)

    def _finish_this(self, subscription: Subscription) -> None:
        if self._subscriptions.get(subscription.track_sid) is subscription:
            self._finish(subscription.track_sid)

    def _reroute(self, now: Monotonic) -> None:
        """Bring receivers and routes in line with what is wanted and what is announced."""
        routes: dict[int, tuple[_Receive, TrackReceiver] | None] = {}
        by_ssrc: dict[int, Subscription] = {}
        for stream in self._streams.values():
            routes[stream.ssrc] = None
            if stream.rtx_ssrc is not None:
                routes[stream.rtx_ssrc] = None
        for sid, subscription in self._subscriptions.items():
            stream_now = self._streams.get(sid)
            if stream_now is not None and stream_now != subscription.stream:
                subscription.begin(stream_now, now)
            # A stream that left the offer keeps its receiver for what is still on its way, unless its SSRC is taken.
            current, receiver = subscription.stream, subscription.receiver
            if current is None or receiver is None or (stream_now is None and current.ssrc in routes):
                continue
            routes[current.ssrc] = (receiver.receive, receiver)
            by_ssrc[current.ssrc] = subscription
            if current.rtx_ssrc is not None:
                routes[current.rtx_ssrc] = (receiver.receive_rtx, receiver)
        self._routes, self._by_ssrc = routes, by_ssrc
        self._replay(now)
        self._arm(self._next_poll(), now)

    def _replay(self, now: Monotonic) -> None:
        """Take the packets that came before their SSRC was known."""
        held, self._held = self._held, deque(maxlen=HELD_PACKETS)
        for data, arrival in held:
            if now - arrival <= HELD_SECONDS:
                self.on_rtp(data, arrival)

    def _receivers(self) -> list[TrackReceiver]:
        return [s.receiver for s in self._subscriptions.values() if s.receiver is not None]

    def _next_poll(self) -> Monotonic:
        dues = (receiver.next_poll() for receiver in self._receivers())
        return min((due for due in dues if due is not None), default=NEVER)

    def _arm(self, due: Monotonic, now: Monotonic) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due != NEVER and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._poll)

    def _poll(self) -> None:
        now = monotonic()
        self._timer = None
        if not self._path.connected():
            # What is asked for now goes nowhere, and is asked for a second time when the answer is on its way.
            self._arm(Monotonic(now + _UNCONNECTED), now)
            return
        # Until the timer is set anew, `on_rtp` must not set it: a sink may unsubscribe within `poll`.
        self._due = Monotonic(0.0)
        feedback: list[RtcpPacket] = []
        for receiver in self._receivers():
            if (due := receiver.next_poll()) is not None and due <= now:
                feedback += receiver.poll(now)
        for start in range(0, len(feedback), _MAX_FEEDBACK):
            self._path.send_rtcp(build(feedback[start : start + _MAX_FEEDBACK]))  # reduced size, RFC 5506
        self._arm(self._next_poll(), now)

    def _schedule_report(self) -> None:
        # RFC 3550 section 6.2: vary the interval by half, so that receivers do not fall into step.
        if not self._closed:
            delay = random.uniform(0.5, 1.5)
            self._reporter = asyncio.get_running_loop().call_later(delay, self._report)

    def _report(self) -> None:
        now = monotonic()
        self._schedule_report()
        if not self._path.connected():
            return
        rtt = self._path.rtt()
        blocks = []
        for receiver in self._receivers():
            if rtt is not None:
                receiver.set_rtt(rtt)
            if receiver.stats.packets:
                blocks.append(receiver.report_block(now))
        packets: list[RtcpPacket] = [
            ReceiverReport(self._ssrc, tuple(blocks[start : start + _MAX_BLOCKS]))
            for start in range(0, max(1, len(blocks)), _MAX_BLOCKS)
        ]
        self._path.send_rtcp(build([*packets, SourceDescription.of_cname(self._ssrc, self._cname)]))
        for subscription in list(self._subscriptions.values()):
            if (cure := subscription.watch.due(subscription.packets, now)) is not None:
                self._cure(subscription, cure)

    def _cure(self, subscription: Subscription, cure: Cure) -> None:
        log.info("track %s sends nothing: %s", subscription.track_sid, cure.value)
        if cure is Cure.TOGGLE:
            self._request(_settings_request(subscription, disabled=True))
            again = _settings_request(subscription, disabled=False)
        else:
            self._request(_subscription_request(subscription, False))
            again = _subscription_request(subscription, True)
        self._call_later(_TOGGLE_SECONDS, lambda: self._still(subscription) and self._request(again))

    def _still(self, subscription: Subscription) -> bool:
        return self._subscriptions.get(subscription.track_sid) is subscription

    def _call_later(self, delay: float, call: Callable[[], object]) -> None:
        def run() -> None:
            self._later.discard(handle)
            call()

        if not self._closed:
            handle = asyncio.get_running_loop().call_later(delay, run)
            self._later.add(handle)


def _subscription_request(subscription: Subscription, subscribe: bool) -> SignalRequest:
    tracks = ParticipantTracks(participant_sid=subscription.publisher_sid, track_sids=[subscription.track_sid])
    return SignalRequest(subscription=UpdateSubscription(participant_tracks=[tracks], subscribe=subscribe))


def _settings_request(subscription: Subscription, *, disabled: bool) -> SignalRequest:
    return SignalRequest(
        track_setting=UpdateTrackSettings(
            track_sids=[subscription.track_sid], disabled=disabled, quality=VideoQuality.HIGH
        )
    )
