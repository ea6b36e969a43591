from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec, Kind
from pyegress.outputs.frame_queue import FrameQueue, Queued
from pyegress.rtp.frame import EncodedFrame

pytestmark = pytest.mark.unit

VIDEO, AUDIO = 0, 1


def frame(kind: int, *, key: bool = False, size: int = 750) -> EncodedFrame:
    codec = Codec.VP8 if kind == VIDEO else Codec.OPUS
    return EncodedFrame(codec, bytes(size), 0, Monotonic(0.0), key or kind == AUDIO)


def queue(limit: int = 10_000, *, together: bool = False) -> FrameQueue[str]:
    return FrameQueue([Kind.VIDEO, Kind.AUDIO], limit=limit, together=together)


def taken(waiting: FrameQueue[str], count: int = 100) -> list[Queued | str]:
    found = []
    for entry in waiting:
        found.append(entry)
        if len(found) == count:
            # Asking for the next one says that this one is done.
            break
    return found


def test_frames_and_jobs_come_in_order_and_count_until_they_are_done() -> None:
    waiting = queue()
    assert waiting.put(VIDEO, frame(VIDEO, key=True), 1)
    waiting.put_job("job")
    assert waiting.put(AUDIO, frame(AUDIO), 2)
    assert waiting.bytes == 2000
    seen = []
    for entry in waiting:
        seen.append((entry if isinstance(entry, str) else entry.pts, waiting.bytes))
    assert seen == [(1, 2000), ("job", 1000), (2, 1000)]
    assert (waiting.bytes, bool(waiting), waiting.dropped) == (0, False, [0, 0])


def test_apart_a_full_queue_drops_pictures_to_the_next_key_frame_and_sound_packet_by_packet() -> None:
    waiting = queue()
    results = [waiting.put(VIDEO, frame(VIDEO, key=not n), n) for n in range(12)]
    assert results == [True] * 10 + [False] * 2
    assert not waiting.put(AUDIO, frame(AUDIO), 0)
    taken(waiting)
    waiting.clear()
    assert waiting.put(AUDIO, frame(AUDIO), 1)
    assert not waiting.put(VIDEO, frame(VIDEO), 12)
    assert waiting.put(VIDEO, frame(VIDEO, key=True), 13)
    assert [entry.resumed for entry in taken(waiting) if isinstance(entry, Queued)] == [False, True]
    assert waiting.dropped == [3, 1]


def test_together_everything_is_dropped_to_the_next_key_frame() -> None:
    waiting = queue(together=True)
    for number in range(10):
        assert waiting.put(VIDEO, frame(VIDEO, key=not number), number)
    assert not waiting.put(AUDIO, frame(AUDIO), 0)
    waiting.clear()
    assert not waiting.put(AUDIO, frame(AUDIO), 1)
    assert not waiting.put(VIDEO, frame(VIDEO), 10)
    assert waiting.put(VIDEO, frame(VIDEO, key=True), 11)
    assert waiting.put(AUDIO, frame(AUDIO), 2)
    assert [(entry.pts, entry.resumed) for entry in taken(waiting) if isinstance(entry, Queued)] == [
        (11, True),
        (2, False),
    ]
    assert waiting.dropped == [1, 2]


def test_a_key_frame_that_would_only_just_fit_is_not_taken() -> None:
    waiting = queue()
    for number in range(10):
        waiting.put(VIDEO, frame(VIDEO, key=not number), number)
    assert not waiting.put(VIDEO, frame(VIDEO), 10)
    for index, _ in enumerate(waiting):
        if index == 3:
            break
    assert waiting.bytes == 7000
    assert not waiting.put(VIDEO, frame(VIDEO, key=True), 11)
