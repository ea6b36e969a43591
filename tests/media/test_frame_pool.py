"""Which frames are given out again."""

from __future__ import annotations

import queue
import threading

import pytest

from pyegress.media.frame_pool import FramePool
from pyegress.media.planes import planes_of
from tests.media.pictures import pixel

pytestmark = pytest.mark.media


def test_a_frame_that_nobody_holds_is_used_again() -> None:
    pool = FramePool(64, 48, 4)
    first = pool.take().planes[0].buffer_ptr
    assert pool.take().planes[0].buffer_ptr == first


def test_frames_that_are_held_are_never_given_out_again() -> None:
    pool = FramePool(64, 48, 3)
    held = [pool.take() for _ in range(10)]
    assert len({id(frame) for frame in held}) == 10
    assert len({frame.planes[0].buffer_ptr for frame in held}) == 10


def test_a_view_of_the_pixels_holds_the_frame() -> None:
    pool = FramePool(64, 48, 3)
    luma = planes_of(pool.take()).luma
    luma[...] = 77
    planes_of(pool.take()).luma[...] = 99
    assert (luma == 77).all()


def test_what_an_encoder_was_told_of_a_frame_is_forgotten() -> None:
    pool = FramePool(64, 48, 1)
    frame = pool.take()
    frame.pts = 5
    frame.pict_type = 1
    del frame
    again = pool.take()
    assert again.pts is None
    assert int(again.pict_type) == 0


def test_another_thread_may_hold_frames_as_long_as_it_likes() -> None:
    pool, waiting, wrong = FramePool(64, 48, 4), queue.Queue[object](maxsize=3), list[int]()

    def read() -> None:
        number = 0
        while (frame := waiting.get(timeout=20)) is not None:
            if pixel(frame, 0, 0)[0] != number % 256:  # type: ignore[arg-type]
                wrong.append(number)
            number += 1

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(600):
        frame = pool.take()
        planes_of(frame).luma[...] = number % 256
        waiting.put(frame, timeout=20)
        del frame
    waiting.put(None, timeout=20)
    reader.join(20)
    assert not reader.is_alive()
    assert wrong == []
