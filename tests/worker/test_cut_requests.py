"""When a publisher is asked for the key frame of the next segment."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.cut_requests import CutRequests

pytestmark = pytest.mark.unit

FPS = 30
ZERO = 4_000_000


def asked(requests: CutRequests, seconds: float, keys: set[int], *, zero: int = ZERO) -> list[int]:
    """The numbers of the frames at which a key frame is wanted."""
    return [
        number
        for number in range(round(seconds * FPS))
        if requests.due(EncodedFrame(Codec.H264, b"", zero + number * 3000, Monotonic(0.0), number in keys))
    ]


def test_a_key_frame_is_wanted_when_the_time_is_over_until_it_comes() -> None:
    assert asked(CutRequests(2.0), 6.0, {0, 66, 130}) == [*range(60, 66), *range(126, 130)]


def test_key_frames_that_come_by_themselves_are_not_asked_for() -> None:
    assert asked(CutRequests(2.0), 8.0, {0, 30, 60, 90, 120, 150, 180, 210}) == []
    # One that comes long before the time does not count.
    assert asked(CutRequests(2.0), 4.0, {0, 45, 62}) == [60, 61]


def test_a_stream_that_begins_anew() -> None:
    requests = CutRequests(2.0)
    assert asked(requests, 1.0, {0}) == []
    assert asked(requests, 3.0, {0}, zero=50) == [*range(60, 90)]
    assert asked(requests, 1.0, {0}, zero=2**40) == []
