"""Key frames that somebody asks for while pictures are encoded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyegress.media.encoder_thread import EncoderThread
from pyegress.media.video_encoder import VideoEncoder
from pyegress.plan.encodings import VideoCodec
from pyegress.rtp.frame import EncodedFrame
from tests.media.encoding import pictures, video

pytestmark = pytest.mark.media


def key_frames(ask: Callable[[EncoderThread, int], None], count: int = 100, interval: float = 0.0) -> list[int]:
    """The ticks of the key frames; `ask` is called with each tick that was encoded, before the next one is."""
    keys: list[int] = []

    def on_frame(frame: EncodedFrame) -> None:
        tick = frame.timestamp // 3000
        if frame.keyframe:
            keys.append(tick)
        ask(thread, tick)

    thread = EncoderThread(VideoEncoder(video(VideoCodec.H264, interval=interval), low_latency=True), on_frame=on_frame)
    for tick, picture in enumerate(pictures(count)):
        thread.submit(picture, tick)
    thread.close()
    return keys


def test_the_next_picture_is_one_when_somebody_asks() -> None:
    assert key_frames(lambda thread, tick: thread.request_keyframe() if tick in (39, 70) else None) == [0, 40, 71]


def test_many_who_ask_share_one_and_it_is_not_right_behind_another() -> None:
    assert key_frames(lambda thread, tick: thread.request_keyframe() if 20 <= tick < 25 else None) == [0, 21, 36]


def test_who_always_asks_gets_two_a_second() -> None:
    assert key_frames(lambda thread, tick: thread.request_keyframe()) == list(range(0, 100, 15))


def test_those_that_are_due_stay_in_their_place() -> None:
    asked = key_frames(lambda thread, tick: thread.request_keyframe() if tick in (44, 65) else None, interval=1.0)
    # The one that is due at 60 is half a second after 45, and who asks at 65 waits as long.
    assert asked == [0, 30, 45, 60, 75, 90]
