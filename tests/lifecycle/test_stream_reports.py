from __future__ import annotations

from dataclasses import replace

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.lifecycle.outcome import StreamOutcome, StreamStatus
from pyegress.lifecycle.stream_reports import RETRY_INTERVAL, StreamReports

pytestmark = pytest.mark.unit

ONE = StreamOutcome("rtmp://h/a/{k...y}", StreamStatus.ACTIVE)
TWO = replace(ONE, id="two")


def at(seconds: float) -> Monotonic:
    return Monotonic(seconds)


def test_whatever_lasts_is_told_at_once() -> None:
    reports = StreamReports()
    steps = [
        (ONE,),
        (ONE, TWO),
        (replace(ONE, started_at=Wall(1.0)), TWO),
        (replace(ONE, started_at=Wall(1.0)), replace(TWO, status=StreamStatus.FAILED, error="no")),
    ]
    for step in steps:
        assert reports.due(step, at(0.0))
        assert not reports.due(step, at(0.0))


def test_retries_of_one_stream_are_told_once_a_minute() -> None:
    reports = StreamReports()

    def retried(one: int, two: int) -> tuple[StreamOutcome, ...]:
        return replace(ONE, retries=one, last_retry_at=Wall(float(one))), replace(TWO, retries=two)

    assert reports.due(retried(0, 0), at(0.0))
    assert reports.due(retried(1, 0), at(1.0))
    assert not reports.due(retried(2, 0), at(2.0))
    assert reports.due(retried(3, 1), at(3.0))
    assert not reports.due(retried(4, 2), at(2.0 + RETRY_INTERVAL))
    assert reports.due(retried(4, 2), at(3.0 + RETRY_INTERVAL))
