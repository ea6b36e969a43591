"""SVT-AV1 must not make a recorder a real-time program."""

from __future__ import annotations

import os

import pytest

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
