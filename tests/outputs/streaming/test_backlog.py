from __future__ import annotations

import pytest

from pyegress.codecs import Kind
from pyegress.outputs.streaming.backlog import Backlog
from pyegress.outputs.streaming.unit import Unit

pytestmark = pytest.mark.unit


def unit(seconds: float, *, start: bool = False, size: int = 10) -> Unit:
    return Unit(Kind.VIDEO, seconds, start, bytes(size))


def times(backlog: Backlog) -> list[float]:
    return [unit.seconds for unit in backlog.take()]


def test_begins_with_a_start() -> None:
    backlog = Backlog(3.0)
    for each in (unit(0.0), unit(0.1), unit(0.2, start=True), unit(0.3)):
        backlog.push(each)
    assert times(backlog) == [0.2, 0.3]
    backlog.push(unit(0.4))
    assert times(backlog) == [0.4]
    backlog.restart()
    assert backlog.starved
    backlog.push(unit(0.5))
    backlog.push(unit(0.6, start=True))
    assert times(backlog) == [0.6]
    assert backlog.dropped == 0


def test_who_falls_behind_loses_whole_stretches() -> None:
    backlog = Backlog(1.0)
    for step in range(12):
        backlog.push(unit(step / 5, start=step % 4 == 0))
    # 0.8 is the first start within a second of the newest, 2.2... which is 1.4 behind; so 1.6 is.
    assert times(backlog) == pytest.approx([1.6, 1.8, 2.0, 2.2])
    assert backlog.dropped == 8


def test_without_a_later_start_everything_goes() -> None:
    backlog = Backlog(1.0)
    backlog.push(unit(0.0, start=True))
    for step in range(1, 10):
        backlog.push(unit(step / 5))
    assert len(backlog) == 0
    assert backlog.starved
    backlog.push(unit(2.0, start=True))
    assert times(backlog) == [2.0]


def test_bytes_are_bounded_too() -> None:
    backlog = Backlog(100.0, size=100)
    for step in range(20):
        backlog.push(unit(step, start=True, size=30))
    assert times(backlog) == [17, 18, 19]
