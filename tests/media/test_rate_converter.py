from __future__ import annotations

import numpy as np
import pytest

from pyegress.media.rate_converter import to_rate
from tests.media.sound import RATE, tone

pytestmark = pytest.mark.media


@pytest.mark.parametrize("rate", [44_100, 32_000, 16_000, 8_000, 48_000])
def test_a_tone_stays_a_tone(rate: int) -> None:
    sound = np.repeat(tone(1)[:, None], 2, axis=1)
    converter = to_rate(rate)
    parts = [converter.convert(sound[at : at + 960]) for at in range(0, RATE, 960)]
    out = np.concatenate([*parts, converter.flush()])
    assert len(out) == pytest.approx(rate, abs=rate // 100)
    edge = rate // 20
    expected = tone(1, rate=rate)[edge : rate - edge]
    assert np.abs(out[edge : rate - edge, 0] - expected).max() < 0.01
