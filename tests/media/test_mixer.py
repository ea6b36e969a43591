from __future__ import annotations

import numpy as np
import pytest

from pyegress.media.limiter import CEILING
from pyegress.media.mixer import Mixer
from pyegress.plan.sources import AudioMixing, Channel, channel_by_mixing
from tests.media.sound import RATE, Sound, steepest, tone

pytestmark = pytest.mark.unit


class Played:
    """Stereo sound from session sample 0."""

    def __init__(self, sound: Sound) -> None:
        self.sound = sound if sound.ndim == 2 else np.repeat(sound[:, None], 2, axis=1)
        self.drained = False

    def read(self, start: int, count: int) -> Sound | None:
        part = self.sound[start : start + count]
        if not len(part):
            self.drained = True
            return None
        return np.concatenate((part, np.zeros((count - len(part), 2), np.float32)))


def rendered(mixer: Mixer, seconds: float, step: int = 960, start: int = 0) -> Sound:
    return np.concatenate([mixer.render(at, step) for at in range(start, start + round(seconds * RATE), step)])


@pytest.mark.parametrize("step", [960, 1024, 441, 1])
def test_one_source_is_bit_exact(step: int) -> None:
    sound = tone(0.2, level=0.999)
    mixer = Mixer()
    mixer.add("a", Played(sound))
    out = rendered(mixer, 0.2, step)
    assert np.array_equal(out[: len(sound), 0], sound[: len(out)])
    assert mixer.limited == 0


def test_eight_sources_at_full_scale_stay_below_it() -> None:
    mixer = Mixer()
    for number in range(8):
        mixer.add(number, Played(tone(3, 100 + 37 * number, 1.0)))
    out = rendered(mixer, 3)
    assert np.abs(out).max() <= CEILING
    assert np.abs(out).max() > 0.8
    assert mixer.limited > 0


def test_the_limiter_lets_go_completely() -> None:
    loud = np.concatenate((tone(0.5, 300, 3.0), tone(3, 300, 0.3)))
    mixer = Mixer()
    mixer.add("a", Played(loud))
    out = rendered(mixer, 3.4)[:, 0]
    assert np.array_equal(out[3 * RATE :], loud[3 * RATE : len(out)])
    # A steady tone is made smaller, not bent: its peaks are all alike.
    peaks = np.abs(out[4800:19200]).reshape(-1, 160).max(axis=1)
    assert peaks.max() - peaks.min() < 0.02
    # No edge where the gain changes.
    assert steepest(out) < 2 * np.pi * 300 / RATE * 1.2


def test_sides() -> None:
    sound = np.stack((tone(0.1, level=0.4), tone(0.1, level=0.2)), axis=1)
    middle = sound.mean(axis=1)
    for channel, left, right in (
        (Channel.BOTH, sound[:, 0], sound[:, 1]),
        (Channel.LEFT, middle, 0 * middle),
        (Channel.RIGHT, 0 * middle, middle),
    ):
        mixer = Mixer()
        mixer.add("a", Played(sound), channel)
        out = rendered(mixer, 0.1)
        assert np.allclose(out[:, 0], left, atol=1e-7)
        assert np.allclose(out[:, 1], right, atol=1e-7)


def test_dual_channel_keeps_an_agent_apart() -> None:
    mixer = Mixer()
    for index, (agent, frequency) in enumerate(((True, 400), (False, 1000))):
        channel = channel_by_mixing(AudioMixing.DUAL_CHANNEL_AGENT, agent=agent, index=index)
        mixer.add(index, Played(tone(0.5, frequency)), channel)
    out = rendered(mixer, 0.5)
    assert np.allclose(out[:, 0], tone(0.5, 400), atol=1e-6)
    assert np.allclose(out[:, 1], tone(0.5, 1000), atol=1e-6)


def test_a_change_of_sides_does_not_click() -> None:
    mixer = Mixer()
    mixer.add("a", Played(tone(1)), Channel.LEFT)
    first = rendered(mixer, 0.5)
    mixer.set_channel("a", Channel.RIGHT)
    out = np.concatenate((first, rendered(mixer, 0.4, start=len(first))))
    limit = 0.25 * 2 * np.pi * 440 / RATE + 0.25 / 200
    assert steepest(out[:, 0]) < limit
    assert steepest(out[:, 1]) < limit
    assert not out[-RATE // 4 :, 0].any()


def test_a_removed_track_is_played_out_and_gone() -> None:
    sound = Played(tone(0.5))
    mixer = Mixer()
    mixer.add("a", sound)
    first = rendered(mixer, 0.1)
    mixer.remove("a")
    out = np.concatenate((first, rendered(mixer, 0.6, start=len(first))))
    assert np.array_equal(out[: len(sound.sound)], sound.sound)
    assert not out[len(sound.sound) :].any()


def test_the_past_cannot_be_rendered() -> None:
    mixer = Mixer()
    mixer.render(0, 960)
    with pytest.raises(ValueError, match="the next one is 960"):
        mixer.render(0, 960)
