"""One subscribed track and its sink."""

from __future__ import annotations

import asyncio

import pytest

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec, Kind
from pyegress.room.events import Source, TrackPublication, TrackSink
from pyegress.room.negotiation import MediaStream
from pyegress.room.subscription import Subscription
from pyegress.rtp.frame import EncodedFrame
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadFormat
from pyegress.rtp.rtcp import SenderReport
from tests.rtp.recordings import load
from tests.support.collecting_sink import CollectingSink

pytestmark = pytest.mark.wire

STREAM = MediaStream("TR_1", "1", Kind.VIDEO, 1, None, {96: PayloadFormat.media(Codec.VP8)})


def subscription(sink: TrackSink, left: list[Subscription] | None = None) -> Subscription:
    track = TrackPublication("TR_1", "", Kind.VIDEO, Source.CAMERA, Codec.VP8, "video/VP8", False)
    leave = (lambda _: None) if left is None else left.append
    return Subscription(track, "PA_1", sink, latency=0.2, own_ssrc=9, unsubscribe=leave)


def feed(one: Subscription, count: int | None = None, now: Monotonic | None = None) -> None:
    assert one.receiver is not None
    for data in load("vp8").packets[:count]:
        one.receiver.receive(RtpPacket.parse(data), now if now is not None else monotonic())


async def test_a_sink_that_raises_is_not_called_again_and_is_unsubscribed(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(CollectingSink):
        calls = 0

        def on_frame(self, frame: EncodedFrame) -> None:
            self.calls += 1
            raise OSError("disk full")

    sink, left = Broken(), list[Subscription]()
    one = subscription(sink, left)
    one.begin(STREAM, monotonic())
    feed(one)
    assert sink.calls == 1
    assert left == [], "not from within the receiver"
    await asyncio.sleep(0)
    assert left == [one]
    one.end(monotonic())
    assert sink.ends == 1
    assert "disk full" in caplog.text


async def test_a_sink_may_unsubscribe_within_a_call() -> None:
    class Enough(CollectingSink):
        def on_frame(self, frame: EncodedFrame) -> None:
            super().on_frame(frame)
            one.unsubscribe()

    left = list[Subscription]()
    one = subscription(Enough(), left)
    one.begin(STREAM, monotonic())
    feed(one, 5)
    assert left == []
    await asyncio.sleep(0)
    assert left
    left.clear()
    one.unsubscribe()
    assert left == [one]


def test_the_end_hands_over_what_waits_behind_a_gap() -> None:
    sink = CollectingSink()
    one = subscription(sink)
    one.begin(STREAM, Monotonic(0.0))
    assert one.receiver is not None
    recorded = load("vp8")
    for index, data in enumerate(recorded.packets):
        if index != 40:
            one.receiver.receive(RtpPacket.parse(data), Monotonic(0.1))
    before = len(sink.frames)
    assert before < len(recorded.frames)
    one.end(Monotonic(0.1))
    one.end(Monotonic(0.2))
    assert sink.ends == 1
    assert one.ended
    assert one.receiver is None
    assert one.stats.frames == len(sink.frames)
    assert one.stats.packets_lost == 1


def test_counters_go_on_over_streams() -> None:
    sink = CollectingSink()
    one = subscription(sink)
    assert one.packets == one.stats.packets == 0
    for _ in range(2):
        one.begin(STREAM, monotonic())
        feed(one)
    assert one.packets == one.stats.packets == 2 * len(load("vp8").packets)
    assert one.stats.frames == len(sink.frames) == 2 * len(load("vp8").frames)
    assert [first for _, first in sink.streams] == [0, len(load("vp8").frames)]


def test_sender_reports_need_a_stream() -> None:
    sink = CollectingSink()
    one = subscription(sink)
    report = SenderReport(1, 1 << 32, 0, 0, 0)
    one.sender_report(report, Monotonic(0.0))
    assert sink.reports == []
    one.begin(STREAM, Monotonic(0.0))
    one.sender_report(report, Monotonic(0.0))
    assert len(sink.reports) == 1
