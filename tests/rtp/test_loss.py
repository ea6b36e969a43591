"""Losses, delay, reordering and duplication in simulated time: what must come through and how soon."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.clock import Monotonic
from pyegress.rtp import rtcp
from pyegress.rtp.packet import RtpPacket
from pyegress.rtp.receiver import TrackReceiver
from tests.rtp.simulation import (
    SSRC,
    VP8,
    Line,
    Recorder,
    Server,
    Way,
    audio,
    audio_receiver,
    video,
    video_receiver,
    vp8_frame,
    vp8_payloads,
)

pytestmark = pytest.mark.unit


class Camera:
    """A publisher of VP8 at 30 frames per second which makes a key frame when asked, at the next frame."""

    def __init__(self, frames: int, gop: int = 120) -> None:
        self.frames = frames
        self.gop = gop
        self.encoded: list[bytes] = []
        self.wanted = False
        self.line = Line(VP8, sequence=65_000)

    def schedule(self, server: Server) -> None:
        server.keyframe = self._want
        for number in range(self.frames):
            server.at(number / 30, lambda now, number=number: self._send(server, number, now))  # type: ignore[misc]

    def _want(self) -> None:
        self.wanted = True

    def _send(self, server: Server, number: int, now: Monotonic) -> None:
        key = number % self.gop == 0 or self.wanted
        self.wanted = False
        if key:
            server.waits_for_keyframe = False
        frame = vp8_frame(number, keyframe=key, size=9000 if key else 2600)
        self.encoded.append(frame)
        for index, packet in enumerate(self.line.frame(vp8_payloads(frame), 3000)):
            server.send(packet, now + index * 0.0005)


def run_video(seed: int, down: Way, up: Way, *, seconds: int = 15) -> tuple[Camera, Recorder, TrackReceiver, Server]:
    sink = Recorder()
    receiver = video_receiver(sink)
    receiver.set_rtt(down.delay + up.delay)
    server = Server(receiver, random=Random(seed), down=down, up=up)
    camera = Camera(seconds * 30)
    camera.schedule(server)
    server.run(seconds + 2.0)
    return camera, sink, receiver, server


@pytest.mark.parametrize(
    ("loss", "loss_of_feedback", "delay", "kept"),
    [
        (0.05, 0.05, 0.04, 0.995),
        (0.05, 0.05, 0.0005, 0.995),
        (0.15, 0.0, 0.04, 0.97),
        (0.15, 0.0, 0.0005, 0.97),
        (0.15, 0.15, 0.04, 0.95),
    ],
)
def test_retransmissions_repair_video(loss: float, loss_of_feedback: float, delay: float, kept: float) -> None:
    """At 15 % one packet of 2000 is lost four times, which is as often as the server sends it; each costs 0.5 s."""
    published = received = 0
    for seed in range(8):
        down = Way(loss=loss, delay=delay, jitter=0.005)
        camera, sink, _, _ = run_video(seed, down, Way(loss=loss_of_feedback, delay=delay))
        intact = set(sink.payloads)
        assert intact <= set(camera.encoded), "a frame that was never published"
        assert sink.payloads == [frame for frame in camera.encoded if frame in intact], "out of order"
        assert max(b.arrival - a.arrival for a, b in itertools.pairwise(sink.frames)) <= 1.2
        published += len(camera.encoded)
        received += len(sink.frames)
    assert received >= kept * published


def test_no_frame_is_lost_at_5_percent() -> None:
    way = Way(loss=0.05, delay=0.04)
    camera, sink, receiver, _ = run_video(11, way, way)
    assert sink.payloads == camera.encoded
    assert receiver.stats.packets_recovered > 50
    assert receiver.stats.packets_lost == 0
    assert not any(frame.discontinuity for frame in sink.frames)


@pytest.mark.parametrize("loss", [0.05, 0.15])
def test_retransmissions_repair_audio(loss: float) -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    receiver.set_rtt(0.08)
    way = Way(loss=loss, delay=0.04, jitter=0.003)
    server = Server(receiver, random=Random(5), down=way, up=way)
    encoded, packets = audio(1000)
    for number, frame in enumerate(packets):
        server.at(number * 0.02, lambda now, packet=frame[0]: server.send(packet, now))  # type: ignore[misc]
    server.run(22.0)
    # A loss at the very end is seen by nobody, because nothing comes after it.
    came = len(sink.frames)
    assert came >= 0.995 * len(encoded), receiver.stats
    assert sink.payloads == [packet for packet in encoded if packet in set(sink.payloads)]


def test_reordering_and_duplication_lose_nothing_and_ask_for_little() -> None:
    down = Way(delay=0.02, jitter=0.03, duplication=0.2)
    camera, sink, receiver, _ = run_video(7, down, Way(delay=0.02), seconds=10)
    assert sink.payloads == camera.encoded
    assert receiver.stats.packets_lost == 0
    assert receiver.stats.packets_duplicate > 0
    assert not any(frame.discontinuity for frame in sink.frames)


def test_without_answers_the_stream_goes_on_with_the_next_keyframe() -> None:
    """NACKs get no answer at all: every frame that comes out can still be decoded."""
    sink = Recorder()
    receiver = video_receiver(sink)
    server = Server(receiver, random=Random(3), down=Way(loss=0.02, delay=0.02), up=Way(delay=0.02))
    server.answers_nacks = False
    camera = Camera(600)
    camera.schedule(server)
    server.run(22.0)
    position = -1
    intact = False
    for frame in sink.frames:
        number = camera.encoded.index(frame.payload)
        assert number > position
        if number != position + 1:
            assert frame.keyframe
            assert frame.discontinuity or not intact
        intact = True
        position = number
    assert len(sink.frames) > 200
    assert receiver.stats.packets_lost > 0


def test_an_outage_longer_than_the_latency_costs_only_itself() -> None:
    sink = Recorder()
    receiver = video_receiver(sink)
    server = Server(receiver, random=Random(1), down=Way(delay=0.02), up=Way(delay=0.02))
    camera = Camera(300, gop=1000)
    camera.schedule(server)

    def cut(now: Monotonic) -> None:
        server.down.loss = 1.0

    def mend(now: Monotonic) -> None:
        server.down.loss = 0.0
        server.sent.clear()

    server.at(2.99, cut)
    server.at(4.99, mend)
    server.run(12.0)
    before = [frame for frame in sink.frames if frame.arrival < 3.1]
    after = [frame for frame in sink.frames if frame.arrival > 4.9]
    assert len(before) == 90
    assert after[0].keyframe
    assert after[0].discontinuity
    assert after[0].arrival < 5.8
    assert sink.payloads[-1] == camera.encoded[-1]
    assert not any(frame.discontinuity for frame in after[1:])


def test_the_first_nack_goes_within_10_ms_and_repeats_by_the_round_trip() -> None:
    sink = Recorder()
    receiver = audio_receiver(sink)
    receiver.set_rtt(0.05)
    _, packets = audio(4)
    receiver.receive(packets[0][0], Monotonic(0.0))
    receiver.receive(packets[2][0], Monotonic(1.0))
    asked = []
    while (due := receiver.next_poll()) is not None:
        asked += [due for packet in receiver.poll(due) if isinstance(packet, rtcp.GenericNack)]
    assert asked[0] - 1.0 <= 0.010
    pauses = [b - a for a, b in itertools.pairwise(asked)]
    assert 8 <= len(asked) <= 16
    assert min(pauses) >= 0.02
    assert max(pauses) <= 0.041
    assert asked[-1] < 1.5
    assert receiver.stats.packets_lost == 1
    assert [frame.discontinuity for frame in sink.frames] == [False, True]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.data())
def test_any_order_within_the_latency_gives_the_same_frames(data: st.DataObject) -> None:
    sequence = data.draw(st.sampled_from([100, 65_530]))
    encoded, frames = video(6, gop=3, sequence=sequence)
    packets = [packet for frame in frames for packet in frame]
    order = data.draw(st.permutations(packets[1:]))
    sink = Recorder()
    receiver = video_receiver(sink)
    receiver.receive(packets[0], Monotonic(0.0))
    for number, packet in enumerate(order):
        now = Monotonic(0.4 * number / len(order))
        receiver.poll(now)
        receiver.receive(RtpPacket.parse(bytes(packet)), now)
    assert sink.payloads == encoded
    assert [frame.timestamp & 0xFFFFFFFF for frame in sink.frames] == [frame[0].timestamp for frame in frames]
    assert [frame.keyframe for frame in sink.frames] == [True, False, False] * 2
    assert receiver.stats.packets == len(packets)
    assert receiver.stats.packets_lost == 0
    assert receiver.report_block(Monotonic(1.0)).cumulative_lost == 0


@settings(max_examples=40, derandomize=True, deadline=None)
@given(lost=st.sets(st.integers(1, 30), max_size=12), gop=st.sampled_from([1, 4, 100]))
def test_whatever_is_lost_only_decodable_frames_come_out(lost: set[int], gop: int) -> None:
    encoded, frames = video(16, gop=gop)
    packets = [packet for frame in frames for packet in frame]
    sink = Recorder()
    receiver = video_receiver(sink)
    for number, packet in enumerate(packets):
        if number not in lost:
            receiver.receive(packet, Monotonic(number * 0.01))
    receiver.poll(Monotonic(10.0))
    receiver.flush(Monotonic(10.0))
    missing = {packets[number].timestamp for number in lost if number < len(packets)}
    expected = []
    decodable = False
    for number, frame in enumerate(frames):
        decodable = frame[0].timestamp not in missing and (decodable or number % gop == 0)
        if decodable:
            expected.append(encoded[number])
    assert sink.payloads == expected
    assert receiver.ssrc == SSRC
