from __future__ import annotations

import pytest

from pyegress.codecs import Kind
from pyegress.outputs.streaming.interleaver import PATIENCE, Interleaver
from pyegress.outputs.streaming.unit import Unit

pytestmark = pytest.mark.unit

BOTH = frozenset(Kind)


def video(seconds: float) -> Unit:
    return Unit(Kind.VIDEO, seconds, False, b"v")


def audio(seconds: float) -> Unit:
    return Unit(Kind.AUDIO, seconds, False, b"a")


def test_units_come_in_the_order_of_their_time() -> None:
    order = Interleaver(BOTH)
    assert order.push(audio(0.0)) == []
    assert order.push(audio(0.02)) == []
    assert order.push(video(0.01)) == [audio(0.0), video(0.01)]
    assert order.push(video(0.05)) == [audio(0.02)]
    assert order.push(audio(0.04)) == [audio(0.04)]
    assert order.flush() == [video(0.05)]
    assert order.flush() == []


def test_one_kind_does_not_wait_for_ever() -> None:
    order = Interleaver(BOTH)
    given = [unit.seconds for step in range(100) for unit in order.push(audio(step / 50))]
    assert given == [step / 50 for step in range(100) if 99 / 50 - step / 50 > PATIENCE]


def test_a_single_kind_passes_through() -> None:
    order = Interleaver(frozenset({Kind.AUDIO}))
    assert order.push(audio(0.0)) == [audio(0.0)]
