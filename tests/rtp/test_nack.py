"""When missing packets are asked for."""

from __future__ import annotations

import itertools

import pytest

from pyegress.clock import Monotonic
from pyegress.rtp.jitter import NEVER
from pyegress.rtp.nack import MissingPackets

pytestmark = pytest.mark.unit


def requests(missing: MissingPackets, until: float = 10.0) -> list[tuple[float, list[int]]]:
    """All requests, time going from one due moment to the next."""
    asked = []
    while (due := missing.next_due) <= until:
        if numbers := missing.due(due):
            asked.append((round(due, 3), numbers))
    return asked


def test_nothing_is_asked_for_before_reordering_can_be_excluded() -> None:
    missing = MissingPackets(latency=0.5)
    assert missing.next_due == NEVER
    missing.add(10, 12, Monotonic(1.0))
    assert missing.due(Monotonic(1.001)) == []
    assert 1.0015 <= missing.next_due <= 1.010
    missing.remove(11)
    assert missing.due(missing.next_due) == [10, 12]


@pytest.mark.parametrize(
    ("rtt", "shortest", "longest"),
    [(0.0, 0.02, 0.04), (0.03, 0.02, 0.04), (0.08, 0.04, 0.04), (0.15, 0.15, 0.15)],
)
def test_requests_repeat_by_the_round_trip_until_an_answer_would_be_late(
    rtt: float, shortest: float, longest: float
) -> None:
    missing = MissingPackets(latency=0.5)
    missing.set_rtt(rtt)
    missing.add(7, 7, Monotonic(0.0))
    times = [time for time, _ in requests(missing)]
    pauses = [round(b - a, 3) for a, b in itertools.pairwise(times)]
    assert pauses[0] == shortest
    assert pauses == sorted(pauses)
    assert pauses[-1] == longest
    assert times[-1] + rtt < 0.5 <= times[-1] + rtt + longest
    assert missing.next_due == NEVER


def test_a_round_trip_beyond_the_latency_still_asks_once() -> None:
    missing = MissingPackets(latency=0.5)
    missing.set_rtt(2.0)
    missing.add(7, 7, Monotonic(0.0))
    assert len(requests(missing)) == 1


def test_packets_that_are_due_together_are_asked_for_together() -> None:
    missing = MissingPackets(latency=0.5)
    missing.add(12, 13, Monotonic(0.001))
    missing.add(10, 10, Monotonic(0.0))
    assert requests(missing, 0.003) == [(0.002, [10, 12, 13])]


def test_remove_says_whether_the_packet_had_been_asked_for() -> None:
    missing = MissingPackets(latency=0.5)
    missing.add(1, 2, Monotonic(0.0))
    assert not missing.remove(1)
    missing.due(Monotonic(0.01))
    assert missing.remove(2)
    assert not missing.remove(2)
    assert missing.next_due == NEVER


def test_given_up_packets_are_forgotten_and_recognised_when_they_come_late() -> None:
    missing = MissingPackets(latency=0.5)
    missing.add(1, 5, Monotonic(0.0))
    missing.give_up(2, 2)
    assert missing.due(Monotonic(0.1)) == [4, 5]
    assert not missing.came_late(1), "1 came, or it would have been given up"
    assert missing.came_late(3)
    assert not missing.came_late(3)
    missing.clear()
    assert not missing.came_late(2)
    assert len(missing) == 0


def test_memory_is_bounded() -> None:
    missing = MissingPackets(latency=0.5, max_missing=100)
    for first in range(0, 100_000, 1000):
        missing.add(first, first + 999, Monotonic(0.0))
        assert len(missing) <= 100
        missing.give_up(first, 1000)
    assert sum(missing.came_late(number) for number in range(100_000)) == 100
