"""A bad network at the datagram seam: seeded loss, delay, jitter, reordering and duplication, each way on its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

Deliver = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Impairment:
    """What one direction does to datagrams. Probabilities are 0..1, times are seconds.

    A loss begins with probability `loss` / `burst` and takes `burst` datagrams, so that the mean stays `loss`.
    Jitter is uniform in 0..`jitter` and by itself keeps the order; `reorder` is the share of datagrams that are held
    back by `reorder_by` and so overtaken; `duplicate` is the share that comes twice.
    """

    loss: float = 0.0
    burst: int = 1
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0
    reorder_by: float = 0.02
    duplicate: float = 0.0


@dataclass(slots=True)
class Tally:
    """What happened to the datagrams of one direction."""

    passed: int = 0
    dropped: int = 0
    reordered: int = 0
    duplicated: int = 0


@dataclass(slots=True)
class _Direction:
    impairment: Impairment
    random: random.Random
    tally: Tally = field(default_factory=Tally)
    #: Datagrams still to be lost of the present burst.
    losing: int = 0
    #: When the last datagram that keeps its order is due, by the loop's clock.
    due: float = 0.0

    def take(self, data: bytes, deliver: Deliver) -> None:
        how, dice, loop = self.impairment, self.random, asyncio.get_running_loop()
        # All dice are thrown for each datagram, so that a change of one probability leaves the others' results.
        lost, jitter, reordered, twice = dice.random(), dice.random(), dice.random(), dice.random()
        if self.losing == 0 and lost < how.loss / how.burst:
            self.losing = how.burst
        if self.losing:
            self.losing -= 1
            self.tally.dropped += 1
            return
        self.tally.passed += 1
        now = loop.time()
        due = now + how.delay + jitter * how.jitter
        if self.due > now:  # Timers that are due at the same moment have no order of their own.
            due = max(due, self.due + 1e-6)
        if reordered < how.reorder:
            self.tally.reordered += 1
            due += how.reorder_by
        else:
            self.due = due
        self._schedule(loop, due, data, deliver)
        if twice < how.duplicate:
            self.tally.duplicated += 1
            self._schedule(loop, due, data, deliver)

    def _schedule(self, loop: asyncio.AbstractEventLoop, due: float, data: bytes, deliver: Deliver) -> None:
        if due <= loop.time():
            deliver(data)
        else:
            loop.call_at(due, deliver, data)


class SeededImpairment:
    """A `DatagramSeam` whose decisions depend on the seed and the order of datagrams only.

    `impairment` holds for what comes in, `outbound` for what goes out; without it both ways are the same.
    """

    def __init__(self, seed: int, impairment: Impairment | None = None, *, outbound: Impairment | None = None) -> None:
        inbound = impairment or Impairment()
        self._inbound = _Direction(inbound, random.Random(seed))
        self._outbound = _Direction(inbound if outbound is None else outbound, random.Random(seed + 1))

    @property
    def inbound_tally(self) -> Tally:
        return self._inbound.tally

    @property
    def outbound_tally(self) -> Tally:
        return self._outbound.tally

    def change(self, impairment: Impairment, *, outbound: Impairment | None = None) -> None:
        """From now on the network is like this."""
        self._inbound.impairment = impairment
        self._outbound.impairment = impairment if outbound is None else outbound

    def inbound(self, data: bytes, deliver: Deliver) -> None:
        self._inbound.take(data, deliver)

    def outbound(self, data: bytes, deliver: Deliver) -> None:
        self._outbound.take(data, deliver)
