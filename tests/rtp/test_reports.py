"""What a receiver reports about a stream."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.rtp.reports import ReceptionStatistics
from pyegress.rtp.sequence import SequenceExtender

pytestmark = pytest.mark.unit


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
