from __future__ import annotations

import av
import pytest

from pyegress.media.taps import PictureTap, PictureTaps

pytestmark = pytest.mark.unit

RATE = 10


class Wanted:
    def __init__(self, *intervals: float) -> None:
        self.got: list[list[float]] = [[] for _ in intervals]
        self.frame = av.VideoFrame(16, 16, "yuv420p")
        self.taps = PictureTaps(
            [PictureTap(interval, self._taking(index)) for index, interval in enumerate(intervals)], RATE
        )

    def offer(self, ticks: range, *, shows: bool = True, expected: bool = False) -> None:
        for tick in ticks:
            if self.taps.due(tick):
                self.taps.offer(self.frame, tick, shows=shows, expected=expected)

    def _taking(self, index: int):  # type: ignore[no-untyped-def]
        def take(picture: av.VideoFrame, seconds: float) -> None:
            assert picture is self.frame
            self.got[index].append(seconds)

        return take


def test_each_at_its_own_interval() -> None:
    wanted = Wanted(0.5, 2.0, 0.0)
    wanted.offer(range(41))
    assert wanted.got[0] == [n / 2 for n in range(9)]
    assert wanted.got[1] == [0.0, 2.0, 4.0]
    assert wanted.got[2] == [n / 10 for n in range(41)]


def test_ticks_that_nobody_wants_may_be_left_out() -> None:
    taps = Wanted(0.5).taps
    assert [tick for tick in range(11) if taps.due(tick)] == [0, 5, 10]
    assert not Wanted().taps.due(0)


@pytest.mark.parametrize(("expected", "first"), [(False, 1.0), (True, 3.0)])
def test_the_first_waits_for_a_picture_but_not_for_ever(expected: bool, first: float) -> None:
    wanted = Wanted(2.5)
    wanted.offer(range(60), shows=False, expected=expected)
    assert wanted.got[0] == [first, *([2.5] if first < 2.5 else []), 5.0]


def test_the_first_comes_with_the_first_picture_and_the_others_in_their_time() -> None:
    wanted = Wanted(2.0)
    wanted.offer(range(4), shows=False, expected=True)
    wanted.offer(range(4, 30), shows=True)
    wanted.offer(range(30, 50), shows=False)
    assert wanted.got[0] == [0.4, 2.0, 4.0]


def test_an_output_that_ends_before_any_picture_gives_its_last() -> None:
    wanted = Wanted(2.0)
    wanted.offer(range(4), shows=False, expected=True)
    wanted.taps.finish()
    wanted.taps.finish()
    assert wanted.got[0] == [0.3]
