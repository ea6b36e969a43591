"""The jitter buffer by itself: order, frames, gaps, limits."""

from __future__ import annotations

from random import Random

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.depacketizers.base import Fragment
from pyegress.rtp.jitter import NEVER, CodecLane, JitterBuffer

pytestmark = pytest.mark.unit

LANE = CodecLane(Codec.VP8, depacketizer_for(Codec.VP8))
OTHER = CodecLane(Codec.VP9, depacketizer_for(Codec.VP9))


class Log:
    """A sink that writes everything down."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.arrivals: list[float] = []
        self.gaps: list[tuple[int, int]] = []
        self.lost = 0

    def on_complete(self, lane: CodecLane, payloads: list[bytes], timestamp: int, arrival: Monotonic) -> None:
        assert lane is not None
        self.frames.append((timestamp, b"".join(payloads)))
        self.arrivals.append(arrival)

    def on_gap_lost(self, first: int, count: int, now: Monotonic) -> None:
        self.gaps.append((first, count))

    def on_frame_lost(self, now: Monotonic) -> None:
        self.lost += 1


class Harness:
    """Packets written as `a` start, `.` middle, `z` end, `o` whole frame, `p` padding, `x` damaged."""

    def __init__(self, latency: float = 0.5, **limits: int) -> None:
        self.log = Log()
        self.buffer = JitterBuffer(self.log, latency=latency, **limits)

    def put(
        self, sequence: int, timestamp: int, kind: str, now: float = 0.0, *, lane: CodecLane = LANE, size: int = 0
    ) -> bool:
        payload = f"{sequence},".encode() + bytes(size)
        if kind == "p":
            return self.buffer.insert(sequence, timestamp, None, None, Monotonic(now))
        fragment = Fragment(payload, kind in "ao", kind in "zo")
        return self.buffer.insert(sequence, timestamp, fragment, None if kind == "x" else lane, Monotonic(now))

    @property
    def frames(self) -> list[str]:
        return [payload.decode() for _, payload in self.log.frames]


def test_packets_in_order_are_released_at_once_and_nothing_is_held() -> None:
    h = Harness()
    for sequence, kind in enumerate("a.zoaz", 10):
        assert h.put(sequence, sequence // 13, kind, sequence / 10)
    assert h.frames == ["10,11,12,", "13,", "14,15,"]
    assert h.log.arrivals == [1.2, 1.3, 1.5]
    assert h.buffer.held == (0, 0)
    assert h.buffer.deadline == NEVER


def test_a_gap_holds_what_is_behind_it_and_no_longer_than_needed() -> None:
    h = Harness()
    h.put(10, 1, "o", 0.0)
    h.put(12, 3, "o", 0.1)
    h.put(13, 4, "o", 0.2)
    assert h.frames == ["10,"]
    assert h.buffer.held == (2, 6)
    assert h.buffer.deadline == pytest.approx(0.6)
    h.put(11, 2, "o", 0.3)
    assert h.frames == ["10,", "11,", "12,", "13,"]
    assert h.log.arrivals == [0.0, 0.3, 0.1, 0.2], "each frame tells when it was complete"
    assert h.buffer.held == (0, 0)


def test_the_deadline_counts_from_when_the_gap_was_seen() -> None:
    h = Harness()
    h.put(10, 1, "o", 0.0)
    h.put(14, 5, "o", 0.1)
    h.put(12, 3, "o", 0.4)
    assert h.buffer.deadline == pytest.approx(0.6), "11 and 13 are both known to be missing since 0.1"
    h.put(11, 2, "o", 0.5)
    assert h.buffer.deadline == pytest.approx(0.6)
    h.buffer.poll(Monotonic(0.59))
    assert h.log.gaps == []
    h.buffer.poll(Monotonic(0.6))
    assert h.log.gaps == [(13, 1)]
    assert h.frames == ["10,", "11,", "12,", "14,"]


def test_two_gaps_have_their_own_time() -> None:
    h = Harness()
    h.put(10, 1, "o", 0.0)
    h.put(12, 3, "o", 0.1)
    h.put(14, 5, "o", 0.3)
    h.buffer.poll(Monotonic(0.65))
    assert h.log.gaps == [(11, 1)]
    assert h.frames == ["10,", "12,"]
    assert h.buffer.deadline == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("kinds", "missing", "expected", "lost"),
    [
        pytest.param("aaz.z", [], [], 0, id="nothing"),
        pytest.param("o a.z o", [2], ["0,", "4,"], 1, id="the_middle_of_a_frame"),
        pytest.param("o a.z o", [1], ["0,", "4,"], 1, id="the_start_of_a_frame"),
        pytest.param("o a.z o", [3], ["0,", "4,"], 1, id="the_end_of_a_frame"),
        pytest.param("o a.z o", [1, 2, 3], ["0,", "4,"], 0, id="a_whole_frame_leaves_no_trace"),
        pytest.param("o az az o", [2, 3], ["0,", "5,"], 2, id="end_and_start"),
        pytest.param("o az p az", [3], ["0,", "1,2,", "4,5,"], 0, id="padding"),
    ],
)
def test_what_a_lost_packet_costs(kinds: str, missing: list[int], expected: list[str], lost: int) -> None:
    h = Harness()
    sequence = 0
    for timestamp, frame in enumerate(kinds.split()):
        for kind in frame:
            if sequence not in missing:
                h.put(sequence, timestamp, kind)
            sequence += 1
    h.put(sequence, 99, "o")
    h.buffer.poll(Monotonic(1.0))
    if missing:
        assert h.frames == [*expected, f"{sequence},"]
        assert h.log.lost == lost
        assert sum(count for _, count in h.log.gaps) == len(missing)


def test_a_frame_without_a_marker_ends_with_the_next_timestamp() -> None:
    """RFC 6184 section 5.1: a receiver must not rely on the marker."""
    h = Harness()
    lane = CodecLane(Codec.H264, depacketizer_for(Codec.H264))
    h.put(1, 10, "a", lane=lane)
    h.put(2, 10, ".", lane=lane)
    assert h.frames == []
    h.put(3, 20, "a", lane=lane)
    assert h.frames == ["1,2,"]


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.AV1], ids=lambda codec: codec.name)
def test_a_frame_that_was_cut_short_is_lost(codec: Codec) -> None:
    """All its packets came, but the server broke it off for a frame of another layer."""
    h = Harness()
    lane = CodecLane(codec, depacketizer_for(codec))
    for sequence, (timestamp, kind) in enumerate([(10, "o"), (20, "a"), (20, "."), (30, "a"), (30, "z")]):
        h.put(sequence, timestamp, kind, lane=lane)
    assert h.frames == ["0,", "3,4,"]
    assert h.log.lost == 1
    assert h.log.gaps == []


def test_padding_fills_its_number_even_within_a_frame() -> None:
    h = Harness()
    for sequence, (timestamp, kind) in enumerate([(1, "a"), (1, "p"), (1, "z"), (9, "p"), (2, "o")]):
        h.put(sequence, timestamp, kind)
    assert h.frames == ["0,2,", "4,"]


def test_duplicates_and_late_packets_are_refused() -> None:
    h = Harness()
    h.put(10, 1, "o")
    assert not h.put(10, 1, "o")
    assert h.put(12, 3, "o")
    assert not h.put(12, 3, "o")
    h.buffer.poll(Monotonic(0.5))
    assert not h.put(11, 2, "o")
    assert h.frames == ["10,", "12,"]


def test_a_damaged_packet_costs_its_frame() -> None:
    h = Harness()
    for sequence, (timestamp, kind) in enumerate(
        [(1, "a"), (1, "x"), (1, "z"), (2, "o"), (3, "x"), (3, "z"), (4, "o")]
    ):
        h.put(sequence, timestamp, kind)
    assert h.frames == ["3,", "6,"]
    assert h.log.lost == 2
    assert h.log.gaps == []


def test_a_codec_change_within_a_frame_costs_it() -> None:
    h = Harness()
    h.put(1, 10, "a")
    h.put(2, 10, "z", lane=OTHER)
    h.put(3, 20, "o", lane=OTHER)
    assert h.frames == ["3,"]
    assert h.log.lost == 1


def test_a_stream_that_begins_within_a_frame_waits_for_the_packet_before() -> None:
    h = Harness()
    h.put(11, 1, ".")
    h.put(12, 1, "z")
    assert h.buffer.next_sequence == 10
    h.put(10, 1, "a")
    assert h.frames == ["10,11,12,"]


def test_earlier_packets_can_still_come_first() -> None:
    h = Harness()
    h.put(13, 1, "z")
    h.put(12, 1, ".")
    h.put(10, 1, "a")
    h.put(11, 1, ".")
    assert h.frames == ["10,11,12,13,"]


def test_a_stream_that_begins_within_a_frame_goes_on_without_it() -> None:
    h = Harness()
    h.put(11, 1, "z", 0.0)
    h.put(12, 2, "o", 0.1)
    h.buffer.poll(Monotonic(0.5))
    assert h.frames == ["12,"]
    assert h.log.lost == 1


def test_flush_releases_what_is_complete() -> None:
    h = Harness()
    h.put(1, 1, "o")
    h.put(3, 3, "o")
    h.put(5, 5, "a")
    h.put(6, 5, "z")
    h.put(7, 6, "a")
    h.buffer.flush(Monotonic(0.1))
    assert h.frames == ["1,", "3,", "5,6,"]
    assert h.log.gaps == [(2, 1), (4, 1)]
    assert h.log.lost == 1
    assert h.buffer.held == (0, 0)


def test_a_restart_lets_go_of_the_old_line() -> None:
    h = Harness()
    h.put(1, 1, "o")
    h.put(3, 3, "o")
    h.put(4, 4, "a")
    h.buffer.restart(100_000, Monotonic(0.1))
    h.put(100_000, 1, "o")
    assert h.frames == ["1,", "3,", "100000,"]
    assert not h.put(5, 4, "z")


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"max_packets": 50}, id="packets"),
        pytest.param({"max_octets": 50 * 100}, id="octets"),
        pytest.param({"max_span": 100}, id="span"),
    ],
)
def test_memory_is_bounded_whatever_comes(limits: dict[str, int]) -> None:
    random = Random(1)
    h = Harness(latency=1e9, **limits)
    sequence = 0
    for _ in range(5000):
        sequence += random.choice((1, 1, 2, 40))
        h.put(sequence, sequence // 7, random.choice("a.zopx"), size=100)
        packets, octets = h.buffer.held
        assert packets <= 2 * 51, "what waits and the frame in progress"
        assert octets <= 2 * 51 * 110
    assert h.log.gaps, "gaps are given up before their time"


def test_a_frame_without_end_is_dropped_at_the_limit() -> None:
    h = Harness(max_octets=1000, max_packets=4096)
    h.put(0, 1, "a")
    for sequence in range(1, 100):
        h.put(sequence, 1, ".", size=100)
        assert h.buffer.held[1] <= 1000
    assert h.log.lost == 1
    h.put(100, 2, "o")
    assert h.frames == ["100,"]


def test_holds_looks_into_what_waits_and_into_the_frame_in_progress() -> None:
    h = Harness()
    h.put(1, 1, "o")
    assert not h.buffer.holds(lambda codec, payload: True)
    h.put(2, 2, "a")
    assert h.buffer.holds(lambda codec, payload: codec is Codec.VP8 and payload == b"2,")
    h.put(4, 3, "a")
    assert h.buffer.holds(lambda codec, payload: payload == b"4,")
    assert not h.buffer.holds(lambda codec, payload: payload == b"3,")
