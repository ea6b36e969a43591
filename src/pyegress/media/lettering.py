"""Text as coverage of pixels: name labels and initials."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from pyegress.layouts.arrangement import Initials
from pyegress.layouts.geometry import Rect
from pyegress.layouts.label import Label
from pyegress.media.fonts import FontSet
from pyegress.media.overlay import Layer, Overlay, overlay
from pyegress.media.planes import FloatPlane

_ELLIPSIS = "…"
_UNREADABLE = "?"


@lru_cache(maxsize=256)
def label_overlay(label: Label, bounds: Rect) -> Overlay | None:
    """A label on its shade; `bounds` is what is seen of its tile."""
    area = label.area
    text = fitted(label.text, label.size, area.width - 2 * label.padding)
    drawn = text_coverage(text, label.size)
    width = min(area.width, drawn.shape[1] + 2 * label.padding + 1 & ~1)
    words = np.zeros((area.height, width), np.float32)
    _paste(words, drawn, label.padding, (area.height - drawn.shape[0]) // 2)
    shade = np.ones_like(words)
    return overlay(
        Rect(area.x, area.y, width, area.height), [Layer(shade, label.shade), Layer(words, label.colour)], bounds
    )


@lru_cache(maxsize=64)
def initials_overlay(initials: Initials, centre: tuple[float, float], bounds: Rect) -> Overlay | None:
    """Initials around a point of the canvas: the middle of their capitals is there, whatever the font's line."""
    drawn = _inked(text_coverage(initials.text, initials.size))
    height, width = drawn.shape
    left, top = round(centre[0] - width / 2), round(centre[1] - height / 2)
    rect = Rect(left & ~1, top & ~1, (width + 3) & ~1, (height + 3) & ~1)
    words = np.zeros((rect.height, rect.width), np.float32)
    _paste(words, drawn, left - rect.x, top - rect.y)
    return overlay(rect, [Layer(words, initials.colour)], bounds)


def fitted(text: str, size: int, width: int) -> str:
    """The text, or as much of its beginning as fits into `width` pixels with an ellipsis."""
    fonts = _fonts(size)
    if fonts.width(text) <= 0:
        text = _UNREADABLE
    if fonts.width(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = fonts.width(text[:middle].rstrip() + _ELLIPSIS) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + _ELLIPSIS


def text_coverage(text: str, size: int) -> FloatPlane:
    """One line of text in a font of `size` pixels, as high as a line of that font."""
    from PIL import Image, ImageDraw

    fonts = _fonts(size)
    ascent, descent = fonts.line
    image = Image.new("L", (max(1, math.ceil(fonts.width(text))), ascent + descent))
    draw, x = ImageDraw.Draw(image), 0.0
    for font, run in fonts.runs(text):
        draw.text((x, ascent), run, fill=255, font=font, anchor="ls")
        x += font.getlength(run)
    return np.asarray(image, np.float32) / np.float32(255)


@lru_cache(maxsize=16)
def _fonts(size: int) -> FontSet:
    return FontSet(size)


def _inked(drawn: FloatPlane) -> FloatPlane:
    """Without the empty rows and columns around."""
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    if not len(rows):
        return drawn
    return drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _paste(canvas: FloatPlane, drawn: FloatPlane, x: int, y: int) -> None:
    """Copy as much as fits; `y` may be negative."""
    top, left = max(0, -y), max(0, -x)
    x, y = max(0, x), max(0, y)
    part = drawn[top : top + canvas.shape[0] - y, left : left + canvas.shape[1] - x]
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
