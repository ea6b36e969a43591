"""SVT-AV1 must not make a recorder a real-time program, and must not stand still."""

from __future__ import annotations

import os
import threading
from fractions import Fraction

import av
import pytest

from pyegress.clock import monotonic
from pyegress.media.svt import SvtThreads
from pyegress.media.video_encoder import VideoEncoder
from pyegress.plan.encodings import VideoCodec
from tests.media.encoding import pictures, video

pytestmark = pytest.mark.media


def test_no_thread_is_a_real_time_one_while_av1_is_encoded() -> None:
    encoder = VideoEncoder(video(VideoCodec.AV1))
    frames = [frame for tick, picture in enumerate(pictures(4)) for frame in encoder.encode(picture, tick)]
    schedulers = {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
    assert schedulers <= {os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE}
    assert len(frames + encoder.flush()) == 4


def open_av1() -> tuple[SvtThreads, av.VideoCodecContext, set[int]]:
    """An encoder, and the threads that it has by what the kernel says."""
    context = av.CodecContext.create("libsvtav1", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = {"preset": "11", "svtav1-params": "rtc=1:pred-struct=1:rc=0:lp=2"}
    before = set(map(int, os.listdir("/proc/self/task")))
    threads = SvtThreads()
    threads.open(context)
    return threads, context, set(map(int, os.listdir("/proc/self/task"))) - before


def busy(threads: set[int]) -> set[int]:
    found = set()
    for thread in threads:
        with open(f"/proc/self/task/{thread}/stat") as file:
            if file.read().rsplit(") ", 1)[1][0] != "S":
                found.add(thread)
    return found


def test_a_picture_is_given_when_all_threads_rest() -> None:
    threads, context, of_encoder = open_av1()
    assert len(of_encoder) > 5
    for number, picture in enumerate(pictures(40, (320, 180))):
        picture.pts = number
        threads.rest()
        assert not busy(of_encoder)
        assert len(context.encode(picture)) == 1


def test_a_thread_of_somebody_else_is_waited_for_four_times_only() -> None:
    threads, _context, of_encoder = open_av1()
    threads._threads.add(threading.get_native_id())  # it never rests while it looks
    waits = []
    for _ in range(5):
        began = monotonic()
        threads.rest()
        waits.append(monotonic() - began)
    assert min(waits[:4]) >= 0.25
    assert threads._threads == of_encoder
