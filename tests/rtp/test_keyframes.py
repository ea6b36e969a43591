"""When a PLI is due."""

from __future__ import annotations

import itertools

import pytest

from pyegress.clock import Monotonic
from pyegress.rtp.jitter import NEVER
from pyegress.rtp.keyframes import MAX_INTERVAL, MIN_INTERVAL, KeyframePolicy

pytestmark = pytest.mark.unit


def send_all(policy: KeyframePolicy, until: float) -> list[float]:
    """The times of all PLIs until then."""
    times: list[float] = []
    while (due := policy.next_due) <= until:
        policy.sent(due)
        times.append(due)
    return times


def test_a_subscription_asks_at_once_and_then_less_and_less_often() -> None:
    policy = KeyframePolicy(Monotonic(5.0))
    assert policy.wanted
    times = send_all(policy, 15.0)
    assert times[0] == 5.0
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert min(pauses) >= MIN_INTERVAL
    assert pauses[-1] == pytest.approx(MAX_INTERVAL)
    assert len(times) == pytest.approx(11, abs=2)


def test_a_decodable_frame_ends_the_asking() -> None:
    policy = KeyframePolicy(Monotonic(0.0))
    policy.sent(Monotonic(0.0))
    policy.satisfied()
    assert not policy.wanted
    assert policy.next_due == NEVER


def test_losses_ask_at_most_every_300_ms() -> None:
    policy = KeyframePolicy(Monotonic(0.0))
    times = []
    for step in range(1000):
        now = Monotonic(step * 0.01)
        policy.want(now)
        if policy.next_due <= now:
            policy.sent(now)
            times.append(now)
            policy.satisfied()
    assert min(b - a for a, b in itertools.pairwise(times)) >= MIN_INTERVAL - 1e-9
    assert len(times) >= 30


def test_a_muted_track_is_not_asked_for_and_an_unmuted_one_only_if_nothing_comes() -> None:
    policy = KeyframePolicy(Monotonic(0.0))
    policy.set_muted(True, Monotonic(0.0))
    policy.want(Monotonic(1.0))
    assert policy.next_due == NEVER
    policy.set_muted(False, Monotonic(5.0))
    assert policy.next_due == pytest.approx(5.3)
    policy.satisfied()
    assert policy.next_due == NEVER


def test_an_unmuted_track_that_brings_nothing_is_asked_for() -> None:
    policy = KeyframePolicy(Monotonic(0.0))
    policy.satisfied()
    policy.set_muted(True, Monotonic(1.0))
    policy.set_muted(False, Monotonic(5.0))
    assert send_all(policy, 6.0)[0] == pytest.approx(5.3)


def test_a_postponed_request_is_looked_at_again_soon() -> None:
    policy = KeyframePolicy(Monotonic(0.0))
    policy.postpone(Monotonic(0.0))
    assert 0.0 < policy.next_due <= 0.1


def test_a_key_frame_that_decoding_does_not_need_is_asked_for_once_a_second_until_it_comes() -> None:
    policy = KeyframePolicy(Monotonic(0.0))
    policy.sent(Monotonic(0.0))
    policy.satisfied()
    for now in (0.5, 0.6, 0.7):
        policy.ask(Monotonic(now))
        policy.satisfied(keyframe=False)
    times = send_all(policy, 3.5)
    assert times == pytest.approx([1.0, 2.0, 3.0])
    policy.satisfied()
    assert policy.next_due == NEVER
    # A loss is more urgent, and any frame that decodes ends it.
    policy.ask(Monotonic(10.0))
    policy.want(Monotonic(10.0))
    policy.satisfied(keyframe=False)
    assert policy.next_due == NEVER
    # A muted track sends nothing.
    policy.ask(Monotonic(20.0))
    policy.set_muted(True, Monotonic(20.0))
    assert policy.next_due == NEVER
