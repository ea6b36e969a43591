"""The words of a layout: name labels and initials."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.layouts.colour import LABEL_SHADE, WHITE, Colour
from pyegress.layouts.geometry import Box, Rect, nearest_even

_MAX_TEXT = 80


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text on a shade, in the bottom left corner of a tile.

    Only who has the font knows how wide the text is: the shade is as wide as the text needs with `padding` on both
    sides, at most as wide as `area`; longer text is cut with an ellipsis.
    """

    text: str
    #: Left aligned room for the shade.
    area: Rect
    #: Height of the font in pixels.
    size: int
    padding: int
    colour: Colour = WHITE
    shade: Colour = LABEL_SHADE


def label_in(box: Box, visible: Rect, text: str) -> Label | None:
    """The label of a tile with its box and visible part; None where the tile is too small for any."""
    size = nearest_even(min(28.0, max(12.0, box.height * 0.05)))
    padding = size // 2
    height = nearest_even(size * 1.6)
    margin = nearest_even(size / 2)
    area = Rect(visible.x + margin, visible.bottom - margin - height, visible.width - 2 * margin, height)
    if not text or area.width < 2 * size or area.y < visible.y:
        return None
    return Label(text[:_MAX_TEXT], area, size, padding)


def initials_of(name: str) -> str:
    """One or two capital letters for a name: those of its first and last word, `?` for a name without any."""
    words = ["".join(filter(str.isalnum, word)) for word in name.replace("-", " ").replace("_", " ").split()]
    letters = [word[0].upper()[:1] for word in words if word]
    if not letters:
        return "?"
    return letters[0] if len(letters) == 1 else letters[0] + letters[-1]
