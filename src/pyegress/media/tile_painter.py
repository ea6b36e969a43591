"""Draws one tile of an arrangement into the canvas."""

from __future__ import annotations

import av

from pyegress.layouts.arrangement import Border, Initials, Tile
from pyegress.layouts.colour import Colour
from pyegress.layouts.geometry import Rect, Size
from pyegress.layouts.person_glyph import Glyph
from pyegress.layouts.placement import Placement
from pyegress.media.lettering import initials_overlay, label_overlay
from pyegress.media.overlay import Layer, Overlay, overlay
from pyegress.media.planes import Planes
from pyegress.media.scaling import Scaler
from pyegress.media.shapes import border_overlays, corner_overlays, glyph_coverage


class TilePainter:
    """Keeps what the pictures of one tile need again and again: scaler, placement, shapes."""

    def __init__(self) -> None:
        self._scaler = Scaler()
        self._tile: Tile | None = None
        self._behind: Colour | None = None
        self._size: Size | None = None
        self._placement: Placement | None = None
        self._bars: tuple[Rect, ...] = ()
        self._above: tuple[Overlay, ...] = ()
        self._glyph: tuple[Glyph, Rect] | None = None
        self._person: Overlay | None = None

    def paint(
        self,
        tile: Tile,
        picture: av.VideoFrame | None,
        behind: Colour,
        glyph: Glyph | None,
        shown: float,
        canvas: Planes,
    ) -> None:
        """All of the tile: background, picture, glyph at opacity `shown` (0..1), corners, border, label.

        `behind` is the background of the arrangement, which shows where the tile has none.
        """
        self._prepare(tile, behind)
        self._place(tile, None if picture is None else Size(picture.width, picture.height))
        for bar in self._bars:
            canvas.part(bar).fill(tile.background or behind)
        if picture is not None and self._placement is not None:
            self._scaler.draw(picture, self._placement, canvas)
        if glyph is not None and shown > 0 and (person := self._person_of(glyph, tile.rect)) is not None:
            (person if shown >= 1 else person.faded(shown)).draw(canvas)
        for above in self._above:
            above.draw(canvas)

    def whole(self, tile: Tile, picture: av.VideoFrame, behind: Colour, size: Size) -> av.VideoFrame | None:
        """The picture in the canvas's format, if it is all that a canvas of this size shows; else None."""
        self._prepare(tile, behind)
        self._place(tile, Size(picture.width, picture.height))
        if self._above or self._bars or self._placement is None:
            return None
        return self._scaler.whole(picture, self._placement, size)

    def _prepare(self, tile: Tile, behind: Colour) -> None:
        if tile != self._tile or behind != self._behind:
            self._tile, self._behind, self._size = tile, behind, None
            self._above = tuple(_above(tile, behind))

    def _place(self, tile: Tile, size: Size | None) -> None:
        if self._size is not None and size == self._size:
            return
        self._size = size
        self._placement = None if size is None else tile.place(size)
        covered = None if self._placement is None else self._placement.target
        self._bars = (tile.rect,) if covered is None else tuple(around(tile.rect, covered))

    def _person_of(self, glyph: Glyph, bounds: Rect) -> Overlay | None:
        if self._glyph != (glyph, bounds):
            self._glyph = glyph, bounds
            self._person = overlay(glyph.rect, [Layer(glyph_coverage(glyph.rect.width), glyph.colour)], bounds)
        return self._person


def _above(tile: Tile, behind: Colour) -> list[Overlay]:
    """What is blended over the tile's picture, from the lowest to the topmost."""
    parts: list[Overlay | None] = []
    if isinstance(tile.content, Initials):
        centre = (tile.box.x + tile.box.width / 2, tile.box.y + tile.box.height / 2)
        parts.append(initials_overlay(tile.content, centre, tile.rect))
    parts += corner_overlays(tile.rect, tile.radius, behind)
    if isinstance(tile.border, Border):
        parts += border_overlays(tile.rect, tile.radius, tile.border)
    if tile.label is not None:
        parts.append(label_overlay(tile.label, tile.rect))
    return [part for part in parts if part is not None]


def around(rect: Rect, hole: Rect) -> list[Rect]:
    """What of a rectangle lies above, below, left and right of another inside of it; all of it around an empty one."""
    if hole.empty:
        return [rect]
    pieces = (
        Rect(rect.x, rect.y, rect.width, hole.y - rect.y),
        Rect(rect.x, hole.bottom, rect.width, rect.bottom - hole.bottom),
        Rect(rect.x, hole.y, hole.x - rect.x, hole.height),
        Rect(hole.right, hole.y, rect.right - hole.right, hole.height),
    )
    return [piece for piece in pieces if not piece.empty]
