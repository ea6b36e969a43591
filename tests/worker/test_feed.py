from __future__ import annotations

from pathlib import Path

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.room.events import Source, TrackStats
from pyegress.worker.feed import RATE_WINDOW, Feed
from tests.worker.playing import Files, at, begin, participant, play, publication

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_tasks_left")]


class Subscribed:
    def __init__(self) -> None:
        self.stats = TrackStats(packets=90, packets_lost=10, frames=7)
        self.unsubscribed = 0
        self.asked: list[float] = []

    def request_keyframe(self, now: Monotonic) -> None:
        self.asked.append(now)

    def unsubscribe(self) -> None:
        self.unsubscribed += 1


def feed_of(tmp_path: Path, *, muted: bool = False) -> Feed:
    track = publication("TR_A", Codec.OPUS, Source.MICROPHONE, muted=muted)
    return Feed(participant("alice", track), track, Files(tmp_path).parts(), rank=0, now=at(0))


async def test_progress_of_a_track(tmp_path: Path) -> None:
    parts = Files(tmp_path).parts()
    mic = begin(parts, "TR_A", Codec.OPUS)
    mic.feed.subscription = Subscribed()
    play((mic, 0.0, 4.0))
    shown = mic.feed.progress(at(4.0))
    assert (shown.identity, shown.source, shown.codec, shown.muted) == ("alice", "microphone", "Opus", False)
    assert shown.loss == pytest.approx(0.1)
    assert shown.frames == 7
    recent = sum(len(frame.payload) for frame in mic.frames if frame.arrival >= at(4.0 - RATE_WINDOW))
    assert shown.bitrate == pytest.approx(recent * 8 / RATE_WINDOW, rel=0.02)
    assert mic.feed.progress(at(60.0)).bitrate == 0.0
    await parts.finish()


async def test_a_track_without_packets_has_no_loss(tmp_path: Path) -> None:
    assert feed_of(tmp_path).progress(at(0)).loss == 0.0


async def test_ending_unsubscribes_once(tmp_path: Path) -> None:
    feed, subscription = feed_of(tmp_path), Subscribed()
    feed.subscription = subscription
    feed.on_ended()
    feed.end()
    assert feed.ended
    assert subscription.unsubscribed == 1


async def test_key_frames_are_asked_for_while_there_is_somebody_to_ask(tmp_path: Path) -> None:
    feed, subscription = feed_of(tmp_path), Subscribed()
    feed.request_keyframe(at(0))
    feed.subscription = subscription
    feed.request_keyframe(at(1))
    feed.end()
    feed.request_keyframe(at(2))
    assert subscription.asked == [at(1)]


async def test_mutes_are_remembered(tmp_path: Path) -> None:
    feed = feed_of(tmp_path)
    for muted, when in ((True, 1.0), (True, 2.0), (False, 3.0), (False, 4.0), (True, 5.0)):
        feed.set_muted(muted, at(when))
    assert feed.mutes == [(at(1.0), at(3.0)), (at(5.0), None)]
    assert feed.is_muted
    assert feed_of(tmp_path, muted=True).mutes == [(at(0), None)]


async def test_silence_is_counted_from_when_something_should_come(tmp_path: Path) -> None:
    parts = Files(tmp_path).parts()
    mic = begin(parts, "TR_A", Codec.OPUS)
    feed = mic.feed
    assert feed.silent_for(at(3.0)) == pytest.approx(3.0)
    play((mic, 0.0, 5.0))
    assert feed.silent_for(at(6.0)) == pytest.approx(1.0, abs=0.03)
    feed.set_muted(True, at(6.0))
    assert feed.silent_for(at(60.0)) == 0.0
    feed.set_muted(False, at(60.0))
    assert feed.silent_for(at(61.0)) == pytest.approx(1.0)
    feed.expect_from(at(70.0))
    assert feed.silent_for(at(72.0)) == pytest.approx(2.0)
    feed.end()
    assert feed.silent_for(at(99.0)) == 0.0
    await parts.finish()
