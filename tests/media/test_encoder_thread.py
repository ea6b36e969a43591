"""Key frames that somebody asks for while pictures are encoded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import av
import pytest

from pyegress.errors import EgressError
from pyegress.media import encoder_thread
from pyegress.media.encoder_thread import QUEUED, EncoderThread
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


class StandingStill(VideoEncoder):
    """Encodes like any other, and then does not come back, as SVT-AV1 was seen to do."""

    def __init__(self, after: int) -> None:
        super().__init__(video(VideoCodec.H264), low_latency=True)
        self.after, self.released = after, threading.Event()

    def encode(self, frame: av.VideoFrame, tick: int, *, keyframe: bool = False) -> list[EncodedFrame]:
        if tick == self.after:
            self.released.wait()
        return super().encode(frame, tick, keyframe=keyframe)

    def flush(self) -> list[EncodedFrame]:
        if self.after == -1:
            self.released.wait()
        return super().flush()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], StandingStill]]:
    monkeypatch.setattr(encoder_thread, "STANDS_STILL", 3.0)
    made: list[StandingStill] = []

    def make(after: int) -> StandingStill:
        made.append(StandingStill(after))
        return made[-1]

    yield make
    for encoder in made:
        encoder.released.set()


def test_nobody_waits_for_an_encoder_that_stands_still(still: Callable[[int], StandingStill]) -> None:
    frames: list[EncodedFrame] = []
    thread = EncoderThread(still(3), on_frame=frames.append)
    film = pictures(QUEUED + 6)
    for tick in range(4 + QUEUED):  # the fourth is the one, the others wait
        thread.submit(film[tick], tick)
    with pytest.raises(EgressError, match=r"H\.264 encoder stands still: no answer to a picture for 3 s"):
        thread.submit(film[-1], len(film))
    assert [frame.timestamp // 3000 for frame in frames] == [0, 1, 2]


@pytest.mark.parametrize("after", [3, -1], ids=["with a picture", "at the end"])
def test_nor_does_whoever_ends_it(still: Callable[[int], StandingStill], after: int) -> None:
    frames: list[EncodedFrame] = []
    thread = EncoderThread(still(after), on_frame=frames.append)
    for tick, picture in enumerate(pictures(5)):
        thread.submit(picture, tick)
    with pytest.raises(EgressError, match="stands still"):
        thread.close()
    assert [frame.timestamp // 3000 for frame in frames] == list(range(5 if after == -1 else 3))
