"""When a silent track is helped, and when it is left alone."""

from __future__ import annotations

import pytest

from pyegress.clock import Monotonic
from pyegress.codecs import Kind
from pyegress.room.silence import Cure, SilenceWatch

pytestmark = pytest.mark.unit


def cures(watch: SilenceWatch, packets: int = 0, begin: float = 0.0) -> list[tuple[float, Cure]]:
    """What is due in the first minute, looked at every 0.1 s."""
    times = [begin + tick / 10 for tick in range(600)]
    return [(round(t - begin, 1), cure) for t in times if (cure := watch.due(packets, Monotonic(t))) is not None]


def test_audio_that_stays_silent_after_unmute() -> None:
    watch = SilenceWatch()
    watch.unmuted(Kind.AUDIO, 7, Monotonic(100.0))
    assert cures(watch, 7, 100.0) == [(1.0, Cure.TOGGLE), (2.5, Cure.RESUBSCRIBE), (10.0, Cure.RESUBSCRIBE)]


def test_video_may_wait_longer_for_its_key_frame() -> None:
    watch = SilenceWatch()
    watch.unmuted(Kind.VIDEO, 0, Monotonic(0.0))
    assert cures(watch) == [(2.0, Cure.TOGGLE), (4.0, Cure.RESUBSCRIBE), (12.0, Cure.RESUBSCRIBE)]


def test_a_subscription_that_brings_nothing() -> None:
    watch = SilenceWatch()
    watch.subscribed(0, Monotonic(0.0))
    assert cures(watch) == [(5.0, Cure.RESUBSCRIBE), (15.0, Cure.RESUBSCRIBE)]


def test_any_packet_of_a_new_subscription_ends_its_watch() -> None:
    watch = SilenceWatch()
    watch.subscribed(0, Monotonic(0.0))
    assert watch.due(1, Monotonic(1.0)) is None
    assert cures(watch, 1, 1.1) == []


def test_packets_that_go_on_coming_end_the_watch() -> None:
    watch = SilenceWatch()
    watch.unmuted(Kind.AUDIO, 7, Monotonic(0.0))
    assert [watch.due(8 + second, Monotonic(second)) for second in range(1, 6)] == [None] * 5
    assert cures(watch, 12, 6.0) == [], "a silence that begins later is the publisher's own"


def test_blank_frames_after_the_unmute_are_no_sign_of_life() -> None:
    """livekit-server sends them for 0.35 s after a mute, which a quick unmute overtakes."""
    watch = SilenceWatch()
    watch.unmuted(Kind.AUDIO, 7, Monotonic(0.0))
    assert watch.due(25, Monotonic(0.5)) is None
    assert cures(watch, 25, 0.5)[:2] == [(1.0, Cure.TOGGLE), (2.5, Cure.RESUBSCRIBE)]


def test_nothing_is_due_while_muted_or_before_anything_happened() -> None:
    watch = SilenceWatch()
    assert cures(watch) == []
    watch.unmuted(Kind.AUDIO, 0, Monotonic(0.0))
    watch.rest()
    assert cures(watch) == []
