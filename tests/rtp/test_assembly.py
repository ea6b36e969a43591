"""From complete packets to frames that are handed out, or not."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.rtp.assembly import FrameAssembly, ReceiverStats
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.jitter import CodecLane
from pyegress.rtp.keyframes import KeyframePolicy
from pyegress.rtp.nack import MissingPackets
from tests.rtp.simulation import Recorder, vp8_frame, vp8_payloads

pytestmark = pytest.mark.unit

NOW = Monotonic(5.0)
LANE = CodecLane(Codec.VP8, depacketizer_for(Codec.VP8))


class Bench:
    def __init__(self) -> None:
        self.sink = Recorder()
        self.stats = ReceiverStats()
        self.keyframes = KeyframePolicy(Monotonic(0.0))
        self.missing = MissingPackets(latency=0.5)
        self.assembly = FrameAssembly(self.sink, Kind.VIDEO, self.stats, self.missing, self.keyframes)

    def frame(
        self, number: int, *, key: bool = False, lane: CodecLane = LANE, pixels: tuple[int, int] = (64, 64)
    ) -> bytes:
        frame = vp8_frame(number, keyframe=key, size=10, pixels=pixels)
        self.assembly.on_complete(lane, vp8_payloads(frame), number, NOW)
        return frame


def test_a_key_frame_ends_the_asking_and_opens_the_stream() -> None:
    bench = Bench()
    bench.frame(0)
    assert bench.keyframes.wanted
    first = bench.frame(1, key=True)
    assert not bench.keyframes.wanted
    assert bench.sink.payloads == [first]
    assert bench.sink.codecs == [Codec.VP8]
    assert bench.assembly.last_timestamp == 1
    assert (bench.stats.frames, bench.stats.frames_dropped) == (1, 1)


def test_a_blank_frame_of_the_server_is_neither_handed_out_nor_counted() -> None:
    bench = Bench()
    bench.frame(0, key=True)
    bench.frame(1, key=True, pixels=(8, 8))
    assert len(bench.sink.frames) == 1
    assert bench.stats.frames_dropped == bench.stats.malformed == 0


def test_a_changed_size_goes_on() -> None:
    bench = Bench()
    bench.frame(0, key=True, pixels=(320, 180))
    bench.frame(1, key=True, pixels=(1280, 720))
    assert [frame.size for frame in bench.sink.frames] == [(320, 180), (1280, 720)]
    assert not bench.sink.frames[1].discontinuity


def test_losses_ask_for_a_key_frame_and_mark_the_next_one() -> None:
    bench = Bench()
    bench.frame(0, key=True)
    bench.assembly.on_gap_lost(100, 3, NOW)
    assert bench.keyframes.wanted
    assert bench.stats.packets_lost == 3
    assert bench.missing.came_late(101)
    bench.frame(1)
    assert bench.stats.frames_dropped == 1
    bench.frame(2, key=True)
    assert [frame.discontinuity for frame in bench.sink.frames] == [False, True]


def test_a_malformed_frame_is_a_lost_one() -> None:
    bench = Bench()
    bench.frame(0, key=True)
    bench.assembly.on_complete(LANE, [b"\x10"], 1, NOW)
    assert (bench.stats.malformed, bench.stats.frames_dropped) == (1, 1)
    bench.frame(2)
    assert len(bench.sink.frames) == 1
    assert bench.keyframes.wanted


def test_another_payload_type_of_the_same_codec_needs_a_key_frame_but_is_no_new_codec() -> None:
    bench = Bench()
    bench.frame(0, key=True)
    other = CodecLane(Codec.VP8, depacketizer_for(Codec.VP8))
    bench.frame(1, lane=other)
    bench.frame(2, key=True, lane=other)
    assert [frame.timestamp for frame in bench.sink.frames] == [0, 2]
    assert bench.sink.codecs == [Codec.VP8]


def test_losses_before_the_first_frame_are_nobodys_discontinuity() -> None:
    bench = Bench()
    bench.assembly.on_frame_lost(NOW)
    bench.frame(1, key=True)
    assert not bench.sink.frames[0].discontinuity
