"""Report blocks by RFC 3550 appendices A.3 and A.8."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.rtp.reports import ReceptionStatistics
from pyegress.rtp.rtcp import SenderReport
from pyegress.rtp.sequence import SequenceExtender

pytestmark = pytest.mark.unit

NOW = Monotonic(100.0)


def test_before_the_first_packet() -> None:
    block = ReceptionStatistics(7).block(NOW)
    assert (block.ssrc, block.fraction_lost, block.cumulative_lost, block.highest_sequence) == (7, 0, 0, 0)
    assert (block.last_sender_report, block.delay_since_last) == (0, 0)


def test_losses_of_the_interval_and_altogether() -> None:
    statistics = ReceptionStatistics(7)
    for sequence in range(65_536, 65_636):
        if sequence % 4:
            statistics.arrived(sequence)
    block = statistics.block(NOW)
    assert block.highest_sequence == 99
    assert block.cumulative_lost == 24, "the one before the first packet is not known"
    assert block.fraction_lost == 24 * 256 // 99
    for sequence in range(65_636, 65_646):
        statistics.arrived(sequence)
    block = statistics.block(NOW)
    assert block.fraction_lost == 0
    assert block.cumulative_lost == 24


def test_duplicates_make_the_loss_negative_but_not_the_fraction() -> None:
    statistics = ReceptionStatistics(7)
    for sequence in (1, 2, 2, 2, 3):
        statistics.arrived(sequence)
    block = statistics.block(NOW)
    assert block.cumulative_lost == -2
    assert block.fraction_lost == 0


def test_jitter_follows_the_differences_of_transit_times() -> None:
    statistics = ReceptionStatistics(7)
    for number in range(2000):
        late = 0.01 if number % 2 else 0.0
        statistics.timed(number * 960, Monotonic(number * 0.02 + late), 48_000)
    assert statistics.jitter == pytest.approx(480, rel=0.01)
    assert statistics.block(NOW).jitter == int(statistics.jitter)


def test_a_smooth_stream_has_no_jitter_even_after_a_pause() -> None:
    statistics = ReceptionStatistics(7)
    for number in range(100):
        pause = 3600.0 if number >= 50 else 0.0
        statistics.timed(number * 960, Monotonic(number * 0.02 + pause), 48_000)
    assert statistics.jitter == pytest.approx(0.0, abs=0.5)


def test_the_last_sender_report_and_its_delay() -> None:
    statistics = ReceptionStatistics(7)
    statistics.sender_report(SenderReport(7, 0x1111_2222_3333_4444, 0, 0, 0), Monotonic(99.5))
    block = statistics.block(NOW)
    assert block.last_sender_report == 0x2222_3333
    assert block.delay_since_last == 32_768


def test_a_restart_counts_from_its_packet() -> None:
    statistics = ReceptionStatistics(7)
    for sequence in range(100, 110):
        statistics.arrived(sequence)
    statistics.restart(200_000)
    statistics.arrived(200_000)
    statistics.arrived(200_002)
    block = statistics.block(NOW)
    assert block.cumulative_lost == 1
    assert block.highest_sequence == 200_002 & 0xFFFF


@pytest.mark.parametrize(
    ("sequences", "highest"),
    [([1859, 1860, 1995], 1995), ([65534, 65535, 0, 1], 0x10001), ([], 0)],
    ids=["no wrap", "one wrap", "nothing came"],
)
def test_cycles_are_counted_from_our_first_packet(sequences: list[int], highest: int) -> None:
    """RFC 3550 appendix A.1; livekit-server drops reports whose highest number is ahead of its own."""
    extender, statistics = SequenceExtender(), ReceptionStatistics(ssrc=7)
    for sequence in sequences:
        extended = extender.extend(sequence)
        assert extended is not None
        statistics.arrived(extended)
    assert statistics.block(Monotonic(1.0)).highest_sequence == highest
