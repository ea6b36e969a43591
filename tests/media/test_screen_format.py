from __future__ import annotations

import numpy as np
import pytest

from pyegress.layouts.colour import Colour
from pyegress.media.libyuv import library
from pyegress.media.planes import planes_of, ycbcr_of
from pyegress.media.screen_format import ScreenFormat

pytestmark = pytest.mark.media

COLOURS = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (31, 140, 249), (30, 30, 30)]


@pytest.mark.parametrize("own", [True, False], ids=["libyuv", "ffmpeg"])
@pytest.mark.parametrize("rgb", COLOURS)
def test_colours_are_bt709_in_limited_range(
    rgb: tuple[int, int, int], own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if own and library() is None:
        pytest.skip("no libyuv here")
    if not own:
        monkeypatch.setattr("pyegress.media.screen_format.library", lambda: None)
    red, green, blue = rgb
    pixels = np.empty((36, 64, 4), np.uint8)
    pixels[...] = blue, green, red, 0
    frame = ScreenFormat(64, 36).convert(pixels)
    assert (frame.width, frame.height, frame.format.name) == (64, 36, "yuv420p")
    assert (int(frame.colorspace), int(frame.color_range)) == (1, 1)
    for plane, wanted in zip(planes_of(frame), ycbcr_of(Colour(red, green, blue)), strict=True):
        assert np.abs(plane.astype(float) - wanted).max() <= 2.5


def test_each_picture_is_its_own() -> None:
    form = ScreenFormat(64, 36)
    # Screens have more rows and columns than the picture.
    screen = np.zeros((40, 70, 4), np.uint8)
    black = form.convert(screen[:36, :64])
    screen[:36, :64] = 255
    white = form.convert(screen[:36, :64])
    assert planes_of(black).luma.max() <= 17
    assert planes_of(white).luma.min() >= 234
