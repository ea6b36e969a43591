"""Colours of decoded pictures on their way to the canvas, against the standards' own formulas."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pyegress.layouts.colour import BLACK, SPEAKING_BLUE, WHITE, Colour
from pyegress.media.picture_format import PictureFormat, colours_of
from pyegress.media.planes import planes_of
from tests.media.pictures import pixel, pixel_of, still
from tests.media.streams import demo_frame, number_of

pytestmark = pytest.mark.media

_COLOURS = [BLACK, WHITE, SPEAKING_BLUE, Colour(220, 30, 40), Colour(20, 190, 60), Colour(128, 128, 128)]
#: AVColorSpace and the weights of red and blue (ITU-R BT.709, BT.601, SMPTE 240M, BT.2020).
_MATRICES = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_UNTAGGED = 2


def ycbcr(colour: Colour, weights: tuple[float, float], *, full: bool) -> tuple[int, int, int]:
    red, green, blue = colour.red / 255, colour.green / 255, colour.blue / 255
    luma = weights[0] * red + (1 - sum(weights)) * green + weights[1] * blue
    cb, cr = (blue - luma) / (2 - 2 * weights[1]), (red - luma) / (2 - 2 * weights[0])
    if full:
        return round(255 * luma), round(128 + 255 * cb), round(128 + 255 * cr)
    return round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr)


def tagged(width: int, height: int, pixels: tuple[int, int, int], matrix: int, *, full: bool = False) -> av.VideoFrame:
    frame = still(width, height, pixels)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


def near(found: tuple[int, int, int], wanted: tuple[int, int, int], within: int = 2) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= within


@pytest.mark.parametrize("size", [(64, 48), (32, 32), (128, 96)], ids=["same", "smaller", "larger"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [*_MATRICES, _UNTAGGED])
def test_every_matrix_and_range_becomes_bt709_limited(matrix: int, full: bool, size: tuple[int, int]) -> None:
    convert = PictureFormat()
    for colour in _COLOURS:
        pixels = ycbcr(colour, _MATRICES.get(matrix, _MATRICES[6]), full=full)
        drawn = convert.draw(tagged(64, 48, pixels, matrix, full=full), *size)
        assert (drawn.width, drawn.height, drawn.format.name) == (*size, "yuv420p")
        assert near(pixel(drawn, 5, 5), pixel_of(colour)), (colour, pixel(drawn, 5, 5))
        assert near(pixel(drawn, size[0] - 1, size[1] - 1), pixel_of(colour))


@pytest.mark.parametrize("name", ["yuv444p", "yuv422p", "yuv420p10le", "yuvj420p", "yuvj444p", "nv12"])
@pytest.mark.parametrize("size", [(160, 120), (80, 60), (320, 240)], ids=["same", "smaller", "larger"])
def test_other_formats_become_yuv420p(name: str, size: tuple[int, int]) -> None:
    source = demo_frame(9)
    source.colorspace, source.color_range = 6, 1
    full = name.startswith("yuvj")
    converted = source.reformat(
        format=name, src_colorspace=5, dst_colorspace=5, src_color_range=1, dst_color_range=2 if full else 1
    )
    converted.colorspace = 6
    drawn = PictureFormat().draw(converted, *size)
    expected = PictureFormat().draw(source, *size)
    assert drawn.format.name == "yuv420p"
    assert number_of(drawn) == 9
    for plane, other in zip(planes_of(drawn), planes_of(expected), strict=True):
        assert np.abs(plane.astype(int) - other).mean() < 2.5


@pytest.mark.parametrize("size", [(64, 48), (32, 32), (128, 96)], ids=["same", "smaller", "larger"])
def test_rgb_becomes_bt709_limited(size: tuple[int, int]) -> None:
    for colour in _COLOURS:
        pixels = np.full((48, 64, 3), (colour.red, colour.green, colour.blue), np.uint8)
        for name in ("gbrp", "rgb24"):
            drawn = PictureFormat().draw(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=name), *size)
            assert near(pixel(drawn, 5, 5), pixel_of(colour)), (name, colour, pixel(drawn, 5, 5))


def test_what_fits_already_is_not_touched() -> None:
    picture = still(64, 48)
    assert PictureFormat().draw(picture, 64, 48) is picture


def test_sizes_and_tags_may_change_from_one_picture_to_the_next() -> None:
    convert, colour = PictureFormat(), Colour(220, 30, 40)
    for matrix, size, full in ((6, (64, 48), False), (6, (48, 64), False), (1, (48, 64), False), (6, (51, 35), True)):
        pixels = ycbcr(colour, _MATRICES[matrix], full=full)
        drawn = convert.draw(tagged(*size, pixels, matrix, full=full), 32, 32)
        assert near(pixel(drawn, 31, 31), pixel_of(colour)), (matrix, size)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (51, 35), (9, 1), (1279, 719), (2, 200)], ids=str)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_pictures_of_any_size_are_drawn(size: tuple[int, int], full: bool) -> None:
    colour = Colour(220, 30, 40)
    picture = tagged(*size, ycbcr(colour, _MATRICES[6], full=full), _UNTAGGED, full=full)
    for wanted in ((2, 2), (64, 48), (1280, 720)):
        drawn = PictureFormat().draw(picture, *wanted)
        assert near(pixel(drawn, 0, 0), pixel_of(colour))
        assert near(pixel(drawn, wanted[0] - 1, wanted[1] - 1), pixel_of(colour))


def test_the_tags_are_read_as_they_are() -> None:
    assert colours_of(tagged(8, 8, (16, 128, 128), 1)).drawn
    assert not colours_of(tagged(8, 8, (16, 128, 128), 1, full=True)).drawn
    assert not colours_of(tagged(8, 8, (16, 128, 128), _UNTAGGED)).drawn
