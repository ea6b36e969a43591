from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.support.impairment import Impairment, SeededImpairment
from tests.support.waiting import eventually

pytestmark = pytest.mark.unit


async def through(seam: SeededImpairment, count: int, *, spacing: float = 0.0) -> list[int]:
    """Numbered datagrams inwards; the numbers that came out, in their order, once nothing is on its way any more."""
    came: list[int] = []
    for number in range(count):
        seam.inbound(number.to_bytes(4, "big"), lambda data: came.append(int.from_bytes(data, "big")))
        if spacing:
            await asyncio.sleep(spacing)
    tally = seam.inbound_tally
    await eventually(lambda: len(came) == tally.passed + tally.duplicated, "every datagram that was not dropped")
    return came


async def test_a_good_network_delivers_at_once_and_in_order() -> None:
    came: list[bytes] = []
    seam = SeededImpairment(1)
    seam.inbound(b"a", came.append)
    seam.outbound(b"b", came.append)
    assert came == [b"a", b"b"]


async def test_loss_has_its_mean_and_follows_the_seed() -> None:
    first = await through(SeededImpairment(7, Impairment(loss=0.15)), 4000)
    again = await through(SeededImpairment(7, Impairment(loss=0.15)), 4000)
    other = await through(SeededImpairment(8, Impairment(loss=0.15)), 4000)
    assert first == again
    assert first != other
    assert 0.13 < 1 - len(first) / 4000 < 0.17


async def test_bursts_keep_the_mean_and_take_neighbours() -> None:
    came = await through(SeededImpairment(3, Impairment(loss=0.1, burst=5)), 8000)
    gaps = [b - a - 1 for a, b in itertools.pairwise(came) if b - a > 1]
    assert 0.08 < 1 - len(came) / 8000 < 0.12
    assert all(gap % 5 == 0 for gap in gaps)


async def test_delay_and_jitter_hold_back_but_keep_the_order() -> None:
    seam = SeededImpairment(5, Impairment(delay=0.03, jitter=0.02))
    loop = asyncio.get_running_loop()
    begun, came = loop.time(), []
    seam.inbound(b"x", lambda data: came.append(loop.time()))
    assert not came
    await eventually(lambda: came, "the delayed datagram")
    assert came[0] - begun >= 0.03 - 0.001
    assert await through(SeededImpairment(5, Impairment(delay=0.01, jitter=0.02)), 300) == list(range(300))


async def test_reordering_loses_nothing() -> None:
    seam = SeededImpairment(9, Impairment(reorder=0.2, reorder_by=0.01))
    came = await through(seam, 200, spacing=0.001)
    assert came != sorted(came)
    assert sorted(came) == list(range(200))
    assert seam.inbound_tally.reordered > 20


async def test_duplicates_come_twice() -> None:
    seam = SeededImpairment(11, Impairment(duplicate=0.3))
    came = await through(seam, 500)
    assert len(came) == 500 + seam.inbound_tally.duplicated
    assert set(came) == set(range(500))
    assert seam.inbound_tally.duplicated > 100


async def test_directions_are_set_apart() -> None:
    seam = SeededImpairment(2, Impairment(loss=1.0), outbound=Impairment())
    came: list[bytes] = []
    seam.inbound(b"in", came.append)
    seam.outbound(b"out", came.append)
    assert came == [b"out"]
    seam.change(Impairment(), outbound=Impairment(loss=1.0))
    seam.inbound(b"in", came.append)
    seam.outbound(b"out", came.append)
    assert came == [b"out", b"in"]
