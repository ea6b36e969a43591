"""Bids and awards in simulated time."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from itertools import count

import pytest

from pyegress.api.psrpc.claims import FIRST_BID, MAX_DELAY, Offers, Selection, SelectionTerms, bid_delay

pytestmark = pytest.mark.unit

#: What livekit-server does for StartEgress.
START = SelectionTerms(window=1.0, short_circuit=0.5, maximum=1.0)


class Simulation:
    """Nodes and callers that exchange requests, bids and awards with random latencies, in virtual time."""

    def __init__(self, loads: list[float], *, seed: int = 0, latency: float = 0.001, bid: float = 1.0) -> None:
        self.now = 0.0
        self.loads = loads
        self.offers = [Offers() for _ in loads]
        self.taken: list[tuple[str, int, float]] = []
        self._random = random.Random(seed)
        self._latency = latency
        self._bid = bid
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._selections: dict[str, Selection] = {}
        self._timers: dict[int, float] = {}
        self.step = 0.0

    def later(self, delay: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._order), do))

    def request(self, name: str, lifetime: float = 10.0) -> None:
        self._selections[name] = Selection(START, self.now)
        for node in range(len(self.loads)):
            self._travel(lambda node=node: self._arrive(node, name, lifetime))  # type: ignore[misc]
        self.later(START.window, lambda: self._close(name))

    def run(self) -> None:
        while self._events:
            self.now, _, do = heapq.heappop(self._events)
            do()

    def _travel(self, do: Callable[[], None]) -> None:
        self.later(self._latency * self._random.uniform(0.5, 1.5), do)

    def _arrive(self, node: int, name: str, lifetime: float) -> None:
        offers = self.offers[node]
        offers.offer(
            name, self.now, lifetime=lifetime, delay=bid_delay(self.loads[node], len(offers)), affinity=self._bid
        )
        self._due(node)

    def _due(self, node: int) -> None:
        for name, affinity in self.offers[node].due(self.now):
            self._travel(lambda name=name, affinity=affinity: self._bids(node, name, affinity))  # type: ignore[misc]
        if (at := self.offers[node].next_at()) is not None and not self.now < self._timers.get(node, 0.0) <= at:
            self._timers[node] = at
            self.later(max(0.0, at - self.now), lambda: self._due(node))

    def _bids(self, node: int, name: str, affinity: float) -> None:
        if (winner := self._selections[name].bid(f"{node}", affinity, self.now)) is not None:
            self._award(name, winner)
        else:
            self.later(max(0.0, self._selections[name].next_at() - self.now), lambda: self._close(name))

    def _close(self, name: str) -> None:
        if (winner := self._selections[name].close(self.now)) is not None:
            self._award(name, winner)

    def _award(self, name: str, winner: str) -> None:
        for node in range(len(self.loads)):
            self._travel(lambda node=node: self._awarded(node, name, winner))  # type: ignore[misc]

    def _awarded(self, node: int, name: str, winner: str) -> None:
        if self.offers[node].awarded(name, ours=winner == f"{node}", now=self.now):
            self.taken.append((name, node, self.now))
            self.loads[node] += self.step


@pytest.mark.parametrize("seed", range(5))
def test_the_less_loaded_node_wins_within_milliseconds(seed: int) -> None:
    simulation = Simulation([0.9, 0.3, 0.7], seed=seed)
    simulation.request("a")
    simulation.run()
    assert [(name, node) for name, node, _ in simulation.taken] == [("a", 1)]
    assert simulation.taken[0][2] < 0.02


def test_a_full_cluster_still_answers_in_a_tenth_of_a_second() -> None:
    simulation = Simulation([1.0, 1.0])
    simulation.request("a")
    simulation.run()
    assert len(simulation.taken) == 1
    assert simulation.taken[0][2] < 0.11


@pytest.mark.parametrize("seed", range(5))
def test_two_hundred_requests_at_once_are_taken_once_each_and_shared(seed: int) -> None:
    simulation = Simulation([0.0, 0.0, 0.0, 0.0], seed=seed)
    simulation.step = 0.004
    for number in range(200):
        simulation.later(number * 0.0005, lambda number=number: simulation.request(f"r{number}"))  # type: ignore[misc]
    simulation.run()
    names = Counter(name for name, _, _ in simulation.taken)
    assert len(names) == 200
    assert set(names.values()) == {1}
    assert min(Counter(node for _, node, _ in simulation.taken).values()) > 20
    assert all(len(offers) == 0 for offers in simulation.offers)


def test_partial_bids_wait_for_the_short_circuit() -> None:
    simulation = Simulation([0.0], bid=0.5)
    simulation.request("a")
    simulation.run()
    assert simulation.taken[0][2] == pytest.approx(0.5, abs=0.01)


def test_delays_grow_with_the_load() -> None:
    delays = [bid_delay(load / 10) for load in range(11)]
    assert delays == sorted(delays)
    assert delays[0] == 0.0
    assert delays[-1] == MAX_DELAY
    assert bid_delay(0.0, 3) > bid_delay(0.0)
    assert bid_delay(7.0) == bid_delay(0.5, 1000) == MAX_DELAY


class TestOffers:
    def test_a_bid_is_sent_once_when_it_is_due(self) -> None:
        offers = Offers()
        assert offers.offer("a", 10.0, lifetime=5.0, delay=0.1)
        assert offers.due(10.0) == []
        assert offers.next_at() == pytest.approx(10.1)
        assert offers.due(10.1) == [("a", 1.0)]
        assert offers.due(10.2) == []
        assert offers.next_at() == pytest.approx(15.0)

    def test_an_award_counts_once_and_only_before_the_expiry(self) -> None:
        offers = Offers()
        for name in ("a", "b"):
            offers.offer(name, 0.0, lifetime=3.0)
        offers.due(0.0)
        assert offers.awarded("a", ours=True, now=1.0)
        assert not offers.awarded("a", ours=True, now=1.0)
        assert not offers.awarded("b", ours=True, now=3.0)

    def test_what_others_were_awarded_is_not_bid_for(self) -> None:
        offers = Offers()
        offers.offer("a", 0.0, lifetime=3.0, delay=0.05)
        assert not offers.awarded("a", ours=False, now=0.01)
        assert offers.due(0.05) == []
        assert offers.next_at() is None

    def test_an_award_without_a_bid_is_not_believed(self) -> None:
        offers = Offers()
        offers.offer("a", 0.0, lifetime=3.0, delay=0.05)
        assert not offers.awarded("a", ours=True, now=0.01)

    def test_nobody_decides(self) -> None:
        offers = Offers()
        offers.offer("a", 0.0, lifetime=3.0)
        offers.due(0.0)
        offers.due(3.0)
        assert len(offers) == 0

    def test_requests_that_are_known_or_expired(self) -> None:
        offers = Offers()
        assert offers.offer("a", 0.0, lifetime=3.0)
        assert not offers.offer("a", 0.5, lifetime=3.0)
        assert not offers.offer("b", 0.0, lifetime=0.0)


class TestSelection:
    def test_the_first_full_bid_wins_at_once(self) -> None:
        selection = Selection(START, 0.0)
        assert selection.bid("half", 0.5, 0.1) is None
        assert selection.bid("full", 1.0, 0.2) == "full"
        assert selection.bid("late", 1.0, 0.3) is None
        assert selection.close(9.0) is None

    def test_the_highest_bid_wins_the_earliest_among_equals(self) -> None:
        selection = Selection(START, 0.0)
        for server, affinity in (("a", 0.5), ("b", 0.7), ("c", 0.7)):
            selection.bid(server, affinity, 0.1)
        assert selection.next_at() == pytest.approx(0.6)
        assert selection.close(0.59) is None
        assert selection.close(0.6) == "b"

    def test_zero_never_wins(self) -> None:
        selection = Selection(START, 0.0)
        assert selection.bid("a", 0.0, 0.1) is None
        assert selection.close(1.0) is None
        assert selection.bids == 1

    def test_the_time_for_bids_begins_when_the_request_could_be_sent(self) -> None:
        selection = Selection(START, 0.0)
        selection.sent(7.0)
        assert selection.next_at() == pytest.approx(8.0)

    def test_methods_without_affinity_take_anybody(self) -> None:
        assert Selection(FIRST_BID, 0.0).bid("a", 0.0, 0.1) == "a"
