"""One stream through the receiver: what comes out of packets, retransmissions, redundancy, restarts and mutes."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic, wall_to_ntp
from pyegress.codecs import Codec
from pyegress.rtp import red, rtx
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.payload_format import PayloadFormat
from pyegress.rtp.receiver import TrackReceiver
from pyegress.rtp.red import RedBlock
from pyegress.rtp.rtcp import GenericNack, PictureLossIndication, SenderReport
from tests.rtp import recordings
from tests.rtp.simulation import (
    AUDIO_TYPES,
    OPUS,
    RED,
    RTX_SSRC,
    SSRC,
    VP8,
    VP8_RTX,
    Line,
    Recorder,
    audio,
    audio_receiver,
    opus_packet,
    video,
    video_receiver,
    vp8_frame,
    vp8_payloads,
)

pytestmark = pytest.mark.unit

LAP = 1 << 32


def at(seconds: float) -> Monotonic:
    return Monotonic(seconds)


def feed(receiver: TrackReceiver, packets: list[RtpPacket], start: float = 0.0, step: float = 0.001) -> None:
    for number, packet in enumerate(packets):
        receiver.receive(RtpPacket.parse(bytes(packet)), at(start + number * step))


def plis(receiver: TrackReceiver, until: float) -> list[float]:
    """When PLIs are sent until then, the receiver polled whenever it asks for it."""
    times: list[float] = []
    while (due := receiver.next_poll()) is not None and due <= until:
        times += [due for packet in receiver.poll(due) if isinstance(packet, PictureLossIndication)]
    return times


def test_video_frames_with_all_that_they_carry() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    encoded, frames = video(3, gop=2)
    feed(receiver, [packet for frame in frames for packet in frame], 1.0)
    assert sink.codecs == [Codec.VP8]
    assert sink.payloads == encoded
    assert [frame.keyframe for frame in sink.frames] == [True, False, True]
    assert [frame.size for frame in sink.frames] == [(640, 360), None, (640, 360)]
    assert [frame.timestamp for frame in sink.frames] == [LAP + 5000, LAP + 8000, LAP + 11000]
    assert sink.frames[0].arrival == 1.0 + 0.001 * (len(frames[0]) - 1)
    stats = receiver.stats
    packets = [packet for frame in frames for packet in frame]
    assert (stats.frames, stats.packets) == (3, len(packets))
    assert stats.octets == sum(len(packet.payload) for packet in packets)
    assert stats.frames_dropped == stats.packets_lost == 0


def test_audio_frames_with_their_duration() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    encoded, frames = audio(5)
    feed(receiver, [frame[0] for frame in frames])
    assert sink.payloads == encoded
    assert {frame.duration for frame in sink.frames} == {960}
    assert all(frame.keyframe for frame in sink.frames)
    assert receiver.next_poll() is None, "audio that comes in order needs no timer"
    assert receiver.poll(at(1.0)) == []


def test_a_subscription_asks_for_a_key_frame_with_the_media_ssrc_until_one_comes() -> None:
    sink = Recorder()
    receiver = video_receiver(sink, now=10.0)
    assert receiver.next_poll() == 10.0
    assert receiver.poll(at(10.0)) == [PictureLossIndication(1, SSRC)]
    assert len(plis(receiver, 12.0)) >= 2
    _, frames = video(1)
    feed(receiver, frames[0], 12.0)
    assert plis(receiver, 100.0) == []
    assert receiver.stats.plis_sent >= 3


def test_frames_before_the_first_key_frame_are_dropped_and_counted() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    line = Line(VP8)
    frames = [vp8_frame(n, keyframe=n == 3, size=100) for n in range(5)]
    feed(receiver, [packet for frame in frames for packet in line.frame(vp8_payloads(frame), 3000)])
    assert sink.payloads == frames[3:]
    assert receiver.stats.frames_dropped == 3
    assert not sink.frames[0].discontinuity


def test_the_padding_that_opens_a_stream_is_no_frame_and_no_loss() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    line = Line(VP8)
    padding = [line.padding() for _ in range(4)]
    line.timestamp += 900
    frame = vp8_frame(0, keyframe=True)
    assert len(bytes(padding[0])) == 522
    feed(receiver, padding + line.frame(vp8_payloads(frame), 3000) + [line.padding()])
    assert sink.payloads == [frame]
    stats = receiver.stats
    assert (stats.malformed, stats.frames_dropped, stats.packets_lost) == (0, 0, 0)
    assert plis(receiver, 10.0) == []


def test_a_retransmission_fills_its_gap() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    encoded, frames = video(3)
    packets = [packet for frame in frames for packet in frame]
    feed(receiver, packets[:2] + packets[3:])
    assert len(sink.frames) < 3
    asked = [packet for packet in receiver.poll(at(0.02)) if isinstance(packet, GenericNack)]
    assert asked == [GenericNack(1, SSRC, (packets[2].sequence,))]
    again = rtx.retransmission(packets[2], payload_type=VP8_RTX, ssrc=RTX_SSRC, sequence=9)
    receiver.receive_rtx(RtpPacket.parse(bytes(again)), at(0.1))
    assert sink.payloads == encoded
    assert receiver.stats.packets_recovered == 1
    receiver.receive_rtx(again, at(0.2))
    assert receiver.stats.packets_recovered == 1
    assert receiver.stats.packets_duplicate == 1
    block = receiver.report_block(at(1.0))
    assert block.cumulative_lost == 1, "the network lost it, whatever repaired it"


def test_retransmissions_do_not_count_as_jitter() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    _, frames = audio(50)
    for number, (packet,) in enumerate(frames):
        if number % 5 != 2:
            receiver.receive(packet, at(number * 0.02))
        if number % 5 == 4:
            again = rtx.retransmission(frames[number - 2][0], payload_type=OPUS + 1, ssrc=RTX_SSRC, sequence=number)
            receiver.receive_rtx(again, at(number * 0.02 + 0.01))
    assert receiver.stats.packets_recovered == 10
    assert receiver.stats.jitter == pytest.approx(0.0, abs=1e-6)


def test_retransmissions_that_nobody_asked_for_change_nothing() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    _, frames = video(2)
    stray = rtx.retransmission(frames[1][0], payload_type=VP8_RTX, ssrc=RTX_SSRC, sequence=9)
    receiver.receive_rtx(stray, at(0.0))
    feed(receiver, frames[0])
    receiver.receive_rtx(stray, at(0.1))
    receiver.receive_rtx(RtpPacket(VP8_RTX, 10, 0, RTX_SSRC, b"", padding=200), at(0.1))
    receiver.receive_rtx(RtpPacket(55, 10, 0, RTX_SSRC, b"unknown type"), at(0.1))
    assert len(sink.frames) == 1
    assert receiver.stats.packets == len(frames[0])


def test_a_lost_frame_costs_the_delta_frames_and_asks_for_a_key_frame() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    encoded, frames = video(6, gop=4)
    feed(receiver, frames[0])
    feed(receiver, frames[1][1:] + frames[2] + frames[3], 1.0)
    sent = plis(receiver, 1.6)
    assert sent[0] == pytest.approx(1.4), "the key frame is asked for while the retransmission may still come"
    assert len(sink.frames) == 1
    feed(receiver, frames[4] + frames[5], 1.7)
    assert sink.payloads == [encoded[0], encoded[4], encoded[5]]
    assert [frame.discontinuity for frame in sink.frames] == [False, True, False]
    stats = receiver.stats
    assert stats.packets_lost == 1
    assert stats.frames_dropped == 3
    assert plis(receiver, 100.0) == []


def test_no_key_frame_is_asked_for_while_one_is_coming() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    _, frames = video(6, gop=4)
    feed(receiver, frames[0])
    feed(receiver, frames[1][1:] + frames[2] + frames[3] + frames[4], 1.0)
    assert plis(receiver, 10.0) == []
    assert len(sink.frames) == 2


def test_a_lost_padding_packet_costs_nothing_when_picture_ids_prove_it() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    line = Line(VP8)
    frames = [vp8_frame(n, keyframe=n == 0) for n in range(3)]
    first, second, third = (vp8_payloads(frame, picture_id=n) for n, frame in enumerate(frames))
    packets = line.frame(first, 3000)
    line.padding()
    packets += line.frame(second, 3000)
    feed(receiver, packets + line.frame(third, 3000))
    receiver.poll(at(0.6))
    assert sink.payloads == frames
    assert not any(frame.discontinuity for frame in sink.frames)
    assert receiver.stats.packets_lost == 1


def test_a_damaged_payload_costs_its_frame_only() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    encoded, frames = audio(3)
    frames[1][0].payload = b"\x03"  # two frames announced, no frame count
    feed(receiver, [frame[0] for frame in frames])
    assert sink.payloads == [encoded[0], encoded[2]]
    assert [frame.discontinuity for frame in sink.frames] == [False, True]
    assert receiver.stats.malformed == 1


def test_an_unknown_payload_type_only_fills_its_number() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    encoded, frames = audio(3)
    frames[1][0].payload_type = 77
    feed(receiver, [frame[0] for frame in frames])
    assert sink.payloads == [encoded[0], encoded[2]]
    assert receiver.stats.packets_lost == 0


def test_a_packet_that_comes_after_its_time_is_counted_as_late() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    _, frames = audio(3)
    feed(receiver, [frames[0][0], frames[2][0]])
    receiver.poll(at(0.6))
    assert receiver.stats.packets_lost == 1
    receiver.receive(frames[1][0], at(0.7))
    assert (receiver.stats.packets_lost, receiver.stats.packets_late) == (0, 1)
    assert len(sink.frames) == 2


def red_stream(count: int, distance: int = 2) -> tuple[list[bytes], list[RtpPacket]]:
    """Opus over RED, each packet with up to `distance` former ones."""
    line = Line(RED)
    encoded = [opus_packet(n) for n in range(count)]
    packets = []
    for number, packet in enumerate(encoded):
        former = range(max(0, number - distance), number)
        blocks = [RedBlock(OPUS, 960 * (number - n), encoded[n]) for n in former]
        packets += line.frame([red.build([*blocks, RedBlock(OPUS, 0, packet)])], 960)
    return encoded, packets


@pytest.mark.parametrize("lost", [{3}, {3, 4}, {3, 6, 9}, {2, 3, 7, 8}])
def test_redundancy_replaces_lost_packets_at_once(lost: set[int]) -> None:
    encoded, packets = red_stream(12)
    sink = Recorder()
    receiver = audio_receiver(sink)
    feed(receiver, [packet for number, packet in enumerate(packets) if number not in lost])
    assert sink.payloads == encoded
    assert [frame.timestamp - sink.frames[0].timestamp for frame in sink.frames] == [960 * n for n in range(12)]
    assert {frame.codec for frame in sink.frames} == {Codec.OPUS}
    assert receiver.stats.packets_recovered == len(lost)
    assert receiver.next_poll() is None
    assert not any(frame.discontinuity for frame in sink.frames)


def test_more_lost_packets_than_redundancy_leave_a_gap() -> None:
    encoded, packets = red_stream(10)
    sink = Recorder()
    receiver = audio_receiver(sink)
    feed(receiver, packets[:3] + packets[6:])
    assert sink.payloads == encoded[:3]
    receiver.poll(at(0.6))
    assert sink.payloads == encoded[:3] + encoded[4:]
    assert receiver.stats.packets_lost == 1


def test_redundancy_from_before_a_pause_is_not_taken_for_a_lost_packet() -> None:
    """The server numbers on without a gap over a mute, while the redundancy is that of packets before it."""
    sink = Recorder()
    receiver = audio_receiver(sink)
    line = Line(RED)
    packets = line.frame([red.build([RedBlock(OPUS, 0, opus_packet(0))])], 960)
    packets += line.frame([red.build([RedBlock(OPUS, 0, opus_packet(1))])], 960)
    packets += line.frame([red.build([RedBlock(OPUS, 2880, opus_packet(9)), RedBlock(OPUS, 0, opus_packet(2))])], 960)
    feed(receiver, [packets[0], packets[2]])
    receiver.poll(at(0.6))
    assert sink.payloads == [opus_packet(0), opus_packet(2)]


def test_damaged_redundancy_costs_nothing_else() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    encoded, packets = red_stream(3)
    packets[1].payload = packets[1].payload[:3]
    feed(receiver, packets)
    assert sink.payloads == [encoded[0], encoded[2]]
    assert receiver.stats.malformed == 1


def test_a_muted_track_is_not_nagged_and_an_unmuted_one_is_asked_if_nothing_comes() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    receiver.set_muted(True, at(0.0))
    assert plis(receiver, 100.0) == []
    receiver.set_muted(False, at(100.0))
    assert plis(receiver, 101.0)[0] == pytest.approx(100.3)


def test_an_unmuted_track_that_sends_by_itself_is_not_asked() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    _, frames = video(2, gop=1)
    feed(receiver, frames[0])
    receiver.set_muted(True, at(1.0))
    receiver.set_muted(False, at(50.0))
    feed(receiver, frames[1], 50.1)
    assert plis(receiver, 100.0) == []
    assert len(sink.frames) == 2


def test_the_codec_changes_within_the_stream() -> None:
    sink = Recorder()
    receiver = TrackReceiver(
        ssrc=SSRC,
        rtx_ssrc=None,
        payload_types={OPUS: PayloadFormat.media(Codec.OPUS), 0: PayloadFormat.media(Codec.PCMU)},
        sink=sink,
        now=at(0.0),
    )
    line = Line(OPUS)
    packets = line.frame([opus_packet(0)], 960)
    line.payload_type = 0
    packets += line.frame([bytes(160)], 160) + line.frame([bytes(160)], 160)
    feed(receiver, packets)
    assert sink.codecs == [Codec.OPUS, Codec.PCMU]
    assert [frame.codec for frame in sink.frames] == [Codec.OPUS, Codec.PCMU, Codec.PCMU]
    assert [frame.duration for frame in sink.frames] == [960, 160, 160]


def test_a_restart_with_other_numbers_and_times_goes_on_forward() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    encoded, frames = video(4, gop=2)
    other, others = video(4, gop=2, first=10, sequence=50_000)
    for packet in [packet for frame in others for packet in frame]:
        packet.timestamp = (packet.timestamp + 3_000_000_000) % LAP
    feed(receiver, [packet for frame in frames for packet in frame])
    feed(receiver, [packet for frame in others for packet in frame], 1.0)
    assert sink.payloads == encoded + other
    timestamps = [frame.timestamp for frame in sink.frames]
    assert timestamps == sorted(timestamps)
    assert [timestamp % LAP for timestamp in timestamps[4:]] == [frame[0].timestamp for frame in others]
    assert [frame.discontinuity for frame in sink.frames] == [False] * 4 + [True] + [False] * 3
    assert receiver.report_block(at(2.0)).cumulative_lost == 0
    assert receiver.stats.packets_lost == 0


def test_a_stray_packet_from_far_away_changes_nothing() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    encoded, frames = audio(6)
    stray = RtpPacket(OPUS, 40_000, 77, SSRC, opus_packet(99))
    packets = [frame[0] for frame in frames]
    feed(receiver, [*packets[:3], stray, *packets[3:]])
    assert sink.payloads == encoded


def test_a_stream_that_goes_back_a_little_for_good_is_received_again() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    _, frames = audio(1000)
    feed(receiver, [frame[0] for frame in frames], step=0.02)
    again, back = audio(300, sequence=500)
    feed(receiver, [frame[0] for frame in back], 20.0, step=0.02)
    assert sink.payloads[-200:] == again[-200:]
    timestamps = [frame.timestamp for frame in sink.frames]
    assert timestamps == sorted(timestamps)


def test_sender_reports_map_timestamps_to_the_senders_clock() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    _, frames = audio(2)
    assert receiver.clock.wall_of(0) is None
    feed(receiver, [frames[0][0]])
    report = SenderReport(SSRC, wall_to_ntp(1_700_000_000.0), 5000 + 480, 1, 1)  # type: ignore[arg-type]
    timestamp = receiver.sender_report(report, at(0.5))
    assert timestamp == sink.frames[0].timestamp + 480
    assert receiver.clock.wall_of(sink.frames[0].timestamp) == pytest.approx(1_700_000_000.0 - 0.01)
    assert receiver.clock.reports == 1
    block = receiver.report_block(at(1.5))
    assert block.ssrc == SSRC
    assert block.last_sender_report == report.ntp >> 16 & 0xFFFFFFFF
    assert block.delay_since_last == 65_536


def test_a_sender_report_before_the_first_packet_belongs_to_the_same_line() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    timestamp = receiver.sender_report(SenderReport(SSRC, 1 << 40, LAP - 480, 0, 0), at(0.0))
    line = Line(OPUS, timestamp=480)
    feed(receiver, line.frame([opus_packet(0)], 960))
    assert sink.frames[0].timestamp == timestamp + 960


def test_flush_hands_out_what_is_complete_and_ends_it() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    encoded, frames = audio(6)
    packets = [frame[0] for frame in frames]
    feed(receiver, [packets[0], packets[2], packets[3]])
    receiver.flush(at(0.1))
    receiver.flush(at(0.1))
    assert sink.payloads == [encoded[0], encoded[2], encoded[3]]
    feed(receiver, packets[4:], 0.2)
    receiver.receive_rtx(packets[1], at(0.2))
    assert len(sink.frames) == 3
    assert receiver.next_poll() is None
    assert receiver.poll(at(10.0)) == []


def test_a_large_gap_is_asked_for_in_datagrams_of_ordinary_size() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    _, frames = audio(2500)
    feed(receiver, [frames[0][0], *(frame[0] for frame in frames[2::2])], step=0.00001)
    packets = receiver.poll(at(0.05))
    assert sum(len(packet.lost) for packet in packets if isinstance(packet, GenericNack)) == 1249
    assert max(len(bytes(packet)) for packet in packets) < 1200


@pytest.mark.parametrize("repaired", [False, True], ids=["plain", "every_fifth_packet_retransmitted"])
@pytest.mark.parametrize("name", recordings.names())
def test_what_a_real_server_sent_comes_out_as_it_was_published(name: str, repaired: bool) -> None:
    recording = recordings.load(name)
    packets = [RtpPacket.parse(packet) for packet in recording.packets]
    types = {recording_type(recording): PayloadFormat.media(recording.codec)}
    if recording.red is not None:
        types[recording.red] = PayloadFormat.red((OPUS, OPUS), 48_000)
    rtx_type = next(number for number in range(96, 127) if number not in types)
    types[rtx_type] = PayloadFormat.rtx(packets[0].payload_type, recording.codec.clock_rate)
    sink = Recorder()
    receiver = TrackReceiver(
        ssrc=packets[0].ssrc, rtx_ssrc=RTX_SSRC, payload_types=types, sink=sink, latency=0.1, now=at(0.0)
    )
    lost: list[RtpPacket] = []
    for number, packet in enumerate(packets):
        now = at(number * 0.01)
        if repaired and number % 5 == 1 and number + 1 < len(packets):
            lost.append(packet)
        else:
            receiver.receive(packet, now)
        if lost and (number % 5 == 4 or number + 1 == len(packets)):
            again = rtx.retransmission(lost.pop(), payload_type=rtx_type, ssrc=RTX_SSRC, sequence=number)
            receiver.receive_rtx(again, now)
        receiver.poll(now)
    receiver.flush(at(len(packets) * 0.01))
    assert len(sink.frames) > 3
    came = [recordings.digest(recording.codec, frame.payload) for frame in sink.frames]
    if recording.frames:
        published = [frame.digest for frame in recording.frames]
        first = published.index(came[0])
        assert first == 0
        assert came == published[: len(came)]
        assert len(came) >= len(published) - 1
        assert [frame.timestamp % LAP for frame in sink.frames] == [
            frame.timestamp for frame in recording.frames[: len(came)]
        ]
    assert receiver.stats.malformed == 0


def recording_type(recording: recordings.Recording) -> int:
    """The payload type of the codec itself in a recording."""
    if recording.red is not None:
        return OPUS
    return RtpPacket.parse(recording.packets[0]).payload_type


def test_a_stream_of_no_codec_or_of_two_kinds_is_refused() -> None:
    for types in ({VP8_RTX: PayloadFormat.rtx(VP8, 90_000)}, {**AUDIO_TYPES, VP8: PayloadFormat.media(Codec.VP8)}):
        with pytest.raises(ValueError, match="one kind"):
            TrackReceiver(ssrc=1, rtx_ssrc=None, payload_types=types, sink=Recorder(), now=at(0.0))
