"""I420 pictures as numpy arrays, and the one colour space in which everything is drawn: BT.709, limited range."""

from __future__ import annotations

from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.layouts.colour import Colour
from pyegress.layouts.geometry import Rect

Plane = NDArray[np.uint8]
FloatPlane = NDArray[np.float32]

#: What FFmpeg calls them: AVCOL_SPC_BT709, AVCOL_RANGE_MPEG, AVCOL_PRI_BT709, AVCOL_TRC_BT709.
_MATRIX, _RANGE, _PRIMARIES, _TRANSFER = 1, 1, 1, 1
_RED, _BLUE = 0.2126, 0.0722
_GREEN = 1 - _RED - _BLUE


class Planes(NamedTuple):
    """Luma of shape (height, width), blue and red difference of half of both."""

    luma: Plane
    blue: Plane
    red: Plane

    def part(self, rect: Rect) -> Planes:
        """The view of an even rectangle."""
        x, y, right, bottom = rect.x // 2, rect.y // 2, rect.right // 2, rect.bottom // 2
        luma = self.luma[rect.y : rect.bottom, rect.x : rect.right]
        return Planes(luma, self.blue[y:bottom, x:right], self.red[y:bottom, x:right])

    def fill(self, colour: Colour) -> None:
        """One opaque colour everywhere."""
        for plane, value in zip(self, ycbcr_of(colour), strict=True):
            plane[...] = round(value)

    def copy_from(self, other: Planes) -> None:
        """Every sample of a picture of the same size."""
        for plane, source in zip(self, other, strict=True):
            np.copyto(plane, source)


def planes_of(frame: av.VideoFrame) -> Planes:
    """The pixels of a yuv420p frame, not copied: writing into them writes into the frame, which they keep alive."""
    width, height = frame.width, frame.height
    views = []
    for plane, columns, rows in zip(
        frame.planes, (width, (width + 1) // 2, (width + 1) // 2), (height, *((height + 1) // 2,) * 2), strict=True
    ):
        buffer: Any = plane
        views.append(np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)[:rows, :columns])
    return Planes(*views)


def tag(frame: av.VideoFrame) -> None:
    """Say which colour space the frame's pixels are in, as players and encoders read it."""
    frame.colorspace, frame.color_range = _MATRIX, _RANGE
    frame.color_primaries, frame.color_trc = _PRIMARIES, _TRANSFER


def ycbcr_of(colour: Colour) -> tuple[float, float, float]:
    """R'G'B' to Y'CbCr (BT.709 section 3, 8 bit limited range), not rounded; alpha is left out."""
    red, green, blue = colour.red / 255, colour.green / 255, colour.blue / 255
    luma = _RED * red + _GREEN * green + _BLUE * blue
    return 16 + 219 * luma, 128 + 112 * (blue - luma) / (1 - _BLUE), 128 + 112 * (red - luma) / (1 - _RED)
