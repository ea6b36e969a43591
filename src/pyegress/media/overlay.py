"""What is blended over a canvas: shapes and text with soft edges, in Y'CbCr as the canvas is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyegress.layouts.colour import Colour
from pyegress.layouts.geometry import Rect
from pyegress.media.planes import FloatPlane, Plane, Planes, ycbcr_of

#: Opacity 1 in the fixed point of the blend: 255 times it, twice, fits into 16 bits.
_ONE = 128
_SHIFT, _HALF = 7, 64

Weights = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Layer:
    """One colour where `coverage` (0..1, of the overlay's shape) says."""

    coverage: FloatPlane
    colour: Colour


@dataclass(frozen=True, slots=True)
class _Blend:
    """Values times opacity, and what stays of those below; both times `_ONE`."""

    values: Weights
    keep: Weights

    def over(self, plane: Plane) -> None:
        mixed = plane * self.keep
        mixed += self.values
        mixed += _HALF
        mixed >>= _SHIFT
        plane[...] = mixed

    def faded(self, opacity: float) -> _Blend:
        values, hidden = np.rint(self.values * opacity), np.rint((_ONE - self.keep) * opacity)
        return _Blend(values.astype(np.uint16), (_ONE - hidden).astype(np.uint16))


@dataclass(frozen=True, slots=True)
class Overlay:
    """Layers of one even rectangle of the canvas, ready to be blended."""

    rect: Rect
    blends: tuple[_Blend, _Blend, _Blend]

    def draw(self, canvas: Planes) -> None:
        """Blend over the canvas."""
        for plane, blend in zip(canvas.part(self.rect), self.blends, strict=True):
            blend.over(plane)

    def faded(self, opacity: float) -> Overlay:
        """The same with its opacity times `opacity` (0..1)."""
        luma, blue, red = self.blends
        return Overlay(self.rect, (luma.faded(opacity), blue.faded(opacity), red.faded(opacity)))


def overlay(rect: Rect, layers: Sequence[Layer], bounds: Rect | None = None) -> Overlay | None:
    """Flatten layers, the lowest first; all have the shape (height, width) of `rect`, whose numbers are even.

    What lies outside of `bounds` is cut; None when nothing is left.
    """
    seen = rect if bounds is None else rect.cut(bounds)
    if seen.empty:
        return None
    x, y = seen.x - rect.x, seen.y - rect.y
    inside = np.s_[y : y + seen.height, x : x + seen.width]
    alpha = np.zeros((seen.height, seen.width), np.float32)
    values = [np.zeros_like(alpha) for _ in range(3)]
    for layer in layers:
        opacity = layer.coverage[inside] * np.float32(layer.colour.alpha / 255)
        rest = 1 - opacity
        alpha = alpha * rest + opacity
        colour = ycbcr_of(layer.colour)
        values = [value * rest + opacity * np.float32(part) for value, part in zip(values, colour, strict=True)]
    half = _halved(alpha)
    luma, blue, red = values[0], _halved(values[1]), _halved(values[2])
    return Overlay(seen, (_blend(luma, alpha), _blend(blue, half), _blend(red, half)))


def _blend(values: FloatPlane, alpha: FloatPlane) -> _Blend:
    hidden = np.rint(alpha * _ONE).astype(np.float32)
    # Values follow the rounded opacity, or a colour over itself would change.
    exact = np.rint(values / np.maximum(alpha, np.float32(1e-6)) * hidden)
    return _Blend(exact.astype(np.uint16), (_ONE - hidden).astype(np.uint16))


def _halved(plane: FloatPlane) -> FloatPlane:
    """Mean of each 2x2 block: a chroma sample lies between four of luma."""
    rows = plane[0::2] + plane[1::2]
    halved = rows[:, 0::2] + rows[:, 1::2]
    halved *= 0.25
    return halved
