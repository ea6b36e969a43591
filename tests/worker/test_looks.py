"""When a session looks."""

from __future__ import annotations

import pytest

from pyegress.worker.looks import SOON, SOON_FOR, TICK, Looks

pytestmark = pytest.mark.unit


def test_everything_is_looked_at_at_once_and_then_at_every_tick() -> None:
    looks = Looks()
    assert looks.at(10.0, waiting=True) < 10.0
    assert looks.ticks(10.0)
    assert looks.at(10.0, waiting=True) == 10.0 + TICK
    assert not looks.ticks(10.0 + TICK / 2)
    assert looks.ticks(10.0 + TICK)


def test_the_first_media_is_looked_for_soon_and_not_for_ever() -> None:
    looks = Looks()
    assert looks.ticks(10.0)
    looks.expect_media(10.0)
    assert looks.at(10.0, waiting=True) == 10.0 + SOON
    assert looks.at(10.0, waiting=False) == 10.0 + TICK
    assert looks.at(10.0 + TICK - SOON / 2, waiting=True) == 10.0 + TICK
    assert looks.ticks(10.0 + SOON_FOR)
    assert looks.at(10.0 + SOON_FOR, waiting=True) == 10.0 + SOON_FOR + TICK
