"""Demultiplexing, feedback and reports, with packets recorded from livekit-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest
from livekit.protocol.rtc import SignalRequest

from pyegress.clock import Monotonic, Wall, monotonic, wall_to_ntp
from pyegress.codecs import Codec, Kind
from pyegress.room.events import Participant, Source, TrackPublication
from pyegress.room.negotiation import MediaStream
from pyegress.room.subscriber import HELD_PACKETS, HELD_SECONDS, MediaPath, Subscriber
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadFormat
from pyegress.rtp.rtcp import (
    GenericNack,
    PictureLossIndication,
    ReceiverReport,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build,
    parse,
)
from pyegress.rtp.rtx import retransmission
from tests.rtp.recordings import load
from tests.support.collecting_sink import CollectingSink
from tests.support.waiting import eventually

pytestmark = pytest.mark.wire

VIDEO_FORMATS = {
    96: PayloadFormat.media(Codec.VP8),
    97: PayloadFormat.rtx(96, 90_000),
    108: PayloadFormat.media(Codec.H264),
    109: PayloadFormat.rtx(108, 90_000),
}
AUDIO_FORMATS = {111: PayloadFormat.media(Codec.OPUS)}


def publication(sid: str, kind: Kind = Kind.VIDEO, *, muted: bool = False) -> TrackPublication:
    source = Source.CAMERA if kind is Kind.VIDEO else Source.MICROPHONE
    return TrackPublication(sid, sid, kind, source, None, "", muted)


def participant(*tracks: TrackPublication, sid: str = "PA_ada") -> Participant:
    return Participant(sid, "ada", "Ada", "standard", "", Wall(0), {}, {track.sid: track for track in tracks})


def stream(sid: str, ssrc: int, rtx: int | None = None, kind: Kind = Kind.VIDEO, mid: str = "1") -> MediaStream:
    return MediaStream(sid, mid, kind, ssrc, rtx, VIDEO_FORMATS if kind is Kind.VIDEO else AUDIO_FORMATS)


def packets(name: str, ssrc: int) -> list[RtpPacket]:
    """A recording with another SSRC."""
    recorded = [RtpPacket.parse(data) for data in load(name).packets]
    for packet in recorded:
        packet.ssrc = ssrc
    return recorded


class Desk:
    """A subscriber with what it sends."""

    def __init__(self) -> None:
        self.requests: list[SignalRequest] = []
        self.datagrams: list[bytes] = []
        self.path = MediaPath()
        self.path.send_rtcp = self.datagrams.append
        self.path.connected = lambda: True
        self.path.rtt = lambda: 0.01
        self.subscriber = Subscriber(latency=0.3, path=self.path, request=self.requests.append)

    def subscribe(self, sid: str, kind: Kind = Kind.VIDEO, *, muted: bool = False) -> CollectingSink:
        sink, track = CollectingSink(), publication(sid, kind, muted=muted)
        self.subscriber.subscribe(participant(track), track, sink)
        return sink

    def feed(self, *sent: RtpPacket, at: Monotonic | None = None) -> None:
        for packet in sent:
            self.subscriber.on_rtp(bytes(packet), at if at is not None else monotonic())

    @property
    def rtcp(self) -> list[RtcpPacket]:
        return [packet for datagram in self.datagrams for packet in parse(datagram)]

    def asked(self, sid: str) -> list[str]:
        """What was asked of the server for a track, in order."""
        words = []
        for request in self.requests:
            if sid in request.track_setting.track_sids:
                words.append("disable" if request.track_setting.disabled else "enable")
            for tracks in request.subscription.participant_tracks:
                if sid in tracks.track_sids:
                    words.append("subscribe" if request.subscription.subscribe else "unsubscribe")
        return words


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.subscriber.close()


async def test_asks_for_the_highest_quality_of_video(desk: Desk) -> None:
    desk.subscribe("TR_v")
    desk.subscribe("TR_a", Kind.AUDIO)
    assert desk.asked("TR_v") == ["subscribe", "enable"]
    assert desk.requests[1].track_setting.quality == 2
    assert desk.asked("TR_a") == ["subscribe"]
    state = desk.subscriber.state()
    assert state.subscribe
    assert [list(tracks.track_sids) for tracks in state.participant_tracks] == [["TR_v", "TR_a"]]


async def test_packets_reach_the_sink_of_their_ssrc(desk: Desk) -> None:
    video, audio = desk.subscribe("TR_v"), desk.subscribe("TR_a", Kind.AUDIO)
    desk.subscriber.announced([stream("TR_v", 1, 2), stream("TR_a", 3, kind=Kind.AUDIO, mid="2")])
    desk.feed(*packets("vp8", 1), *packets("opus", 3))
    assert (video.codecs, len(video.frames)) == ([Codec.VP8], len(load("vp8").frames))
    assert (audio.codecs, len(audio.frames)) == ([Codec.OPUS], 60)
    assert desk.subscriber.subscriptions["TR_v"].stats.frames == len(video.frames)


async def test_packets_before_their_announcement_are_kept(desk: Desk) -> None:
    sink, sent = desk.subscribe("TR_v"), packets("vp8", 1)
    begin = monotonic()
    desk.feed(*sent[:20], at=begin)
    desk.feed(*packets("vp8", 99), at=begin)
    assert not sink.frames
    desk.subscriber.announced([stream("TR_v", 1)])
    desk.feed(*sent[20:])
    assert len(sink.frames) == len(load("vp8").frames)
    assert sink.frames[0].arrival == begin, "the time of arrival is that of the network"


async def test_what_nobody_announces_is_bounded_and_forgotten(desk: Desk) -> None:
    sink, sent = desk.subscribe("TR_v"), packets("vp8", 1)
    long_ago = Monotonic(monotonic() - HELD_SECONDS - 1)
    for _ in range(HELD_PACKETS // len(sent) + 2):
        desk.feed(*sent, at=long_ago)
    assert len(desk.subscriber._held) == HELD_PACKETS
    desk.subscriber.announced([stream("TR_v", 1)])
    assert not sink.frames
    assert not desk.subscriber._held


async def test_streams_that_are_not_wanted_are_dropped(desk: Desk) -> None:
    desk.subscriber.announced([stream("TR_other", 1, 2)])
    desk.feed(*packets("vp8", 1))
    assert not desk.subscriber._held


async def test_a_gap_is_asked_for_at_once_and_filled_by_rtx(desk: Desk) -> None:
    sink, sent = desk.subscribe("TR_v"), packets("vp8", 1)
    desk.subscriber.announced([stream("TR_v", 1, 2)])
    desk.feed(*sent[:10], *sent[11:20])
    await eventually(lambda: any(isinstance(packet, GenericNack) for packet in desk.rtcp), "a NACK")
    nack = next(packet for packet in desk.rtcp if isinstance(packet, GenericNack))
    assert (nack.media_ssrc, nack.lost) == (1, (sent[10].sequence,))
    (datagram,) = [d for d in desk.datagrams if isinstance(parse(d)[0], GenericNack)][:1]
    assert len(parse(datagram)) == 1, "reduced size (RFC 5506)"
    desk.feed(retransmission(sent[10], payload_type=97, ssrc=2, sequence=500), *sent[20:])
    assert len(sink.frames) == len(load("vp8").frames)
    stats = desk.subscriber.subscriptions["TR_v"].stats
    assert (stats.packets_recovered, stats.packets_lost) == (1, 0)


async def test_a_stream_that_does_not_begin_with_a_key_frame_asks_for_one(desk: Desk) -> None:
    desk.subscribe("TR_v")
    desk.subscriber.announced([stream("TR_v", 1)])
    await eventually(lambda: any(isinstance(p, PictureLossIndication) for p in desk.rtcp), "a PLI")
    assert next(p for p in desk.rtcp if isinstance(p, PictureLossIndication)).media_ssrc == 1


async def test_nothing_is_asked_for_while_it_cannot_be_sent(desk: Desk) -> None:
    there = False
    desk.path.connected = lambda: there
    desk.subscribe("TR_v")
    desk.subscriber.announced([stream("TR_v", 1)])
    receiver = desk.subscriber.subscriptions["TR_v"].receiver
    assert receiver is not None
    await asyncio.sleep(0.02)
    assert receiver.stats.plis_sent == 0
    there = True
    await eventually(lambda: any(isinstance(p, PictureLossIndication) for p in desk.rtcp), "a PLI")


async def test_an_m_line_that_is_used_again_brings_another_track_of_another_codec(desk: Desk) -> None:
    first, second = desk.subscribe("TR_1"), desk.subscribe("TR_2")
    desk.subscriber.announced([stream("TR_1", 1, 2)])
    desk.feed(*packets("vp8", 1))
    # The server may even take the same SSRC again.
    desk.subscriber.announced([stream("TR_2", 1, 2)])
    desk.feed(*packets("h264", 1))
    assert (first.codecs, second.codecs) == ([Codec.VP8], [Codec.H264])
    assert len(first.frames) == len(load("vp8").frames)
    assert len(second.frames) == len(load("h264").frames)


async def test_a_track_that_gets_another_stream_goes_on(desk: Desk) -> None:
    sink = desk.subscribe("TR_v")
    desk.subscriber.announced([stream("TR_v", 1)])
    desk.feed(*packets("vp8", 1))
    desk.subscriber.announced([stream("TR_v", 7)])
    desk.feed(*packets("h264", 7))
    assert sink.codecs == [Codec.VP8, Codec.H264]
    assert sink.streams[1][1] == len(load("vp8").frames)
    stats = desk.subscriber.subscriptions["TR_v"].stats
    assert stats.frames == len(sink.frames)
    assert stats.packets == len(load("vp8").packets) + len(load("h264").packets)


async def test_an_unpublished_track_takes_what_is_still_on_its_way(desk: Desk) -> None:
    sink, sent = desk.subscribe("TR_v"), packets("vp8", 1)
    desk.subscriber.announced([stream("TR_v", 1)])
    desk.feed(*sent[:30])
    desk.subscriber.ended("TR_v")
    desk.subscriber.announced([])
    desk.feed(*sent[30:])
    assert len(sink.frames) == len(load("vp8").frames)
    assert sink.ends == 0
    await sink.ended()
    assert not desk.subscriber.subscriptions
    desk.feed(*sent)


async def test_reports_go_out_about_every_second_as_compounds(desk: Desk) -> None:
    sids = [f"TR_{number}" for number in range(33)]
    for sid in sids:
        desk.subscribe(sid, Kind.AUDIO)
    streams = [stream(sid, ssrc, kind=Kind.AUDIO) for ssrc, sid in enumerate([*sids, "TR_other"], 100)]
    desk.subscriber.announced(streams)
    for one in streams:
        desk.feed(*packets("opus", one.ssrc)[:3])
    desk.subscribe("TR_silent", Kind.AUDIO)
    await eventually(lambda: desk.datagrams, "a report", within=3)
    first, second, description = parse(desk.datagrams[0])
    assert isinstance(first, ReceiverReport)
    assert isinstance(second, ReceiverReport)
    assert isinstance(description, SourceDescription)
    assert (len(first.blocks), len(second.blocks)) == (31, 2)
    assert {block.ssrc for block in first.blocks + second.blocks} == set(range(100, 133))
    assert set(description.chunks) == {first.ssrc}


async def test_sender_reports_of_a_compound_go_to_their_tracks(desk: Desk) -> None:
    sink, sent = desk.subscribe("TR_v"), packets("vp8", 1)
    desk.subscriber.announced([stream("TR_v", 1)])
    desk.feed(*sent)
    times = [Wall(1_800_000_000.25 + number) for number in range(2)]
    reports = [SenderReport(ssrc, wall_to_ntp(times[0]), sent[0].timestamp + 9000, 5, 6) for ssrc in (1, 55)]
    now = monotonic()
    desk.subscriber.on_rtcp(build(cast(list[RtcpPacket], reports)), now)
    later = replace(reports[0], ntp=wall_to_ntp(times[1]), timestamp=(sent[0].timestamp + 99_000) & 0xFFFFFFFF)
    desk.subscriber.on_rtcp(build([later]), now)
    assert [report.sender_time for report in sink.reports] == pytest.approx(times)
    assert sink.reports[0].timestamp == sink.frames[0].timestamp + 9000
    assert sink.reports[1].timestamp == sink.frames[0].timestamp + 99_000
    assert sink.reports[0].arrival == now


async def test_damaged_datagrams_are_counted(desk: Desk) -> None:
    sink = desk.subscribe("TR_v")
    desk.subscriber.announced([stream("TR_v", 1)])
    good = bytes(packets("vp8", 1)[0])
    desk.subscriber.on_rtp(b"\x00" + good[1:], monotonic())
    desk.subscriber.on_rtp(good[:11], monotonic())
    desk.subscriber.on_rtcp(b"\x80\xc8\x00\x06", monotonic())
    assert desk.subscriber.malformed == 2, "a packet without SSRC belongs to nobody"
    assert not sink.frames


async def test_a_new_session_asks_again_for_what_is_left(desk: Desk) -> None:
    kept, gone = desk.subscribe("TR_v"), desk.subscribe("TR_gone")
    desk.subscriber.announced([stream("TR_v", 1), stream("TR_gone", 5)])
    sent = packets("vp8", 1)
    desk.feed(*sent[:-1])
    desk.subscriber.detach()
    count = len(kept.frames)
    desk.feed(sent[-1])
    assert len(kept.frames) == count, "the old session's packets are nobody's"
    desk.requests.clear()
    track = publication("TR_v", muted=True)
    desk.subscriber.attach(lambda sid: (participant(track, sid="PA_new"), track) if sid == "TR_v" else None)
    assert desk.asked("TR_v") == ["subscribe", "enable"]
    assert desk.requests[0].subscription.participant_tracks[0].participant_sid == "PA_new"
    assert (kept.ends, gone.ends) == (0, 1)
    desk.subscriber.announced([stream("TR_v", 9)])
    desk.feed(*packets("vp8", 9))
    assert kept.codecs == [Codec.VP8, Codec.VP8]
    assert desk.subscriber.subscriptions["TR_v"].stats.frames == len(kept.frames)


async def test_a_track_that_is_silent_after_unmute_is_toggled_and_then_subscribed_anew(desk: Desk) -> None:
    sink = desk.subscribe("TR_a", Kind.AUDIO, muted=True)
    desk.subscriber.announced([stream("TR_a", 1, kind=Kind.AUDIO)])
    desk.requests.clear()
    desk.subscriber.muted("TR_a", False)
    await eventually(lambda: len(desk.asked("TR_a")) >= 4, "the cures")
    assert desk.asked("TR_a")[:4] == ["disable", "enable", "unsubscribe", "subscribe"]
    # The new subscription brings a new stream.
    desk.subscriber.announced([stream("TR_a", 2, kind=Kind.AUDIO)])
    desk.feed(*packets("opus", 2))
    assert len(sink.frames) == 60
    assert sink.ends == 0


async def test_a_track_that_speaks_after_unmute_is_left_alone(desk: Desk) -> None:
    desk.subscribe("TR_a", Kind.AUDIO, muted=True)
    desk.subscriber.announced([stream("TR_a", 1, kind=Kind.AUDIO)])
    desk.requests.clear()
    desk.subscriber.muted("TR_a", False)
    sent, subscription = packets("opus", 1), desk.subscriber.subscriptions["TR_a"]
    begin = monotonic()
    for second in range(1, 6):
        desk.feed(*sent[10 * second - 10 : 10 * second])
        assert subscription.watch.due(subscription.packets, Monotonic(begin + second)) is None
    assert desk.asked("TR_a") == []


async def test_nothing_is_left_after_close(desk: Desk) -> None:
    sink = desk.subscribe("TR_v")
    desk.subscriber.announced([stream("TR_v", 1, 2)])
    desk.feed(*packets("vp8", 1)[:5])
    desk.subscriber.ended("TR_v")
    desk.subscriber.close()
    desk.subscriber.close()
    assert sink.ends == 1
    assert desk.subscriber._timer is desk.subscriber._reporter is None
    assert not desk.subscriber._later
    desk.feed(*packets("vp8", 1)[5:])
    assert desk.subscriber._timer is None
