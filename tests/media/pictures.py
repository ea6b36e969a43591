"""Still pictures, what is on a canvas, and how alike two pictures are."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyegress.layouts.colour import Colour
from pyegress.media.planes import Plane, planes_of, tag, ycbcr_of

Pixel = tuple[int, int, int]


def pixel_of(colour: Colour) -> Pixel:
    """Y'CbCr of an opaque colour, rounded."""
    y, cb, cr = ycbcr_of(colour)
    return round(y), round(cb), round(cr)


def still(width: int, height: int, colour: Pixel = (126, 128, 128)) -> av.VideoFrame:
    """One colour, in the canvas's own colour space."""
    frame = av.VideoFrame(width, height, "yuv420p")
    tag(frame)
    for plane, value in zip(planes_of(frame), colour, strict=True):
        plane[...] = value
    return frame


def marked(width: int, height: int, colour: Pixel) -> av.VideoFrame:
    """One colour with a corner of its own luma each: 50, 90, 170, 210 from the top left, clockwise; each an eighth."""
    frame = still(width, height, colour)
    luma, across, down = planes_of(frame).luma, width // 8, height // 8
    luma[:down, :across], luma[:down, -across:] = 50, 90
    luma[-down:, -across:], luma[-down:, :across] = 170, 210
    return frame


def frame_of(image: Image.Image) -> av.VideoFrame:
    """An RGB image in the canvas's colour space."""
    frame = av.VideoFrame.from_ndarray(np.asarray(image.convert("RGB")), "rgb24").reformat(
        format="yuv420p", dst_colorspace=1, src_color_range=2, dst_color_range=1, interpolation="BICUBIC"
    )
    tag(frame)
    return frame


def pixel(frame: av.VideoFrame, x: int, y: int) -> Pixel:
    """What is at a pixel, with the chroma of its block."""
    luma, blue, red = planes_of(frame)
    return int(luma[y, x]), int(blue[y // 2, x // 2]), int(red[y // 2, x // 2])


def snapshot(frame: av.VideoFrame) -> tuple[Plane, Plane, Plane]:
    """A copy of its pixels."""
    luma, blue, red = planes_of(frame)
    return luma.copy(), blue.copy(), red.copy()


def same(frame: av.VideoFrame, other: tuple[Plane, Plane, Plane]) -> bool:
    return all(np.array_equal(plane, kept) for plane, kept in zip(planes_of(frame), other, strict=True))


def ssim(one: Plane, other: Plane) -> float:
    """Structural similarity of two luma planes (Wang et al. 2004), over windows of 8x8 pixels."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    mean_a, mean_b = _means(a), _means(b)
    var_a, var_b = _means(a * a) - mean_a**2, _means(b * b) - mean_b**2
    together = _means(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * together + c2)
    return float((index / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _means(values: NDArray[np.float64], window: int = 8) -> NDArray[np.float64]:
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    whole = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
    means: NDArray[np.float64] = whole / window**2
    return means
