"""What a compositor draws: the decisions for one moment, in pixels of the output canvas."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.layouts.colour import WHITE, Colour
from pyegress.layouts.geometry import Box, Rect, Size
from pyegress.layouts.label import Label
from pyegress.layouts.person_glyph import Glyph
from pyegress.layouts.placement import Fit, Placement, place


@dataclass(frozen=True, slots=True)
class Picture:
    """The video of a track, over the tile's background; that alone until the track's first picture is decoded."""

    track_sid: str
    fit: Fit


@dataclass(frozen=True, slots=True)
class MutedPicture:
    """A muted track: the tile's background, with a glyph where one belongs."""

    track_sid: str
    glyph: Glyph | None


@dataclass(frozen=True, slots=True)
class Initials:
    """A person without video."""

    text: str
    #: Height of the font in pixels; the text is centred in the tile's box.
    size: int
    colour: Colour = WHITE


@dataclass(frozen=True, slots=True)
class Border:
    """A line of `width` pixels inside the edges of the tile, above the picture."""

    width: int
    colour: Colour


@dataclass(frozen=True, slots=True)
class Tile:
    """One part of the canvas. Drawn in this order: background, content, border, label."""

    #: The track's sid, or a key of its own for a person without one: the same tile in a later arrangement.
    key: str
    identity: str
    #: What of it is on the canvas, in even pixels. Nothing of the tile is drawn outside.
    rect: Rect
    #: All of it before it meets pixels and the canvas's edge: where its picture is centred.
    box: Box
    #: None is transparent: the background of the arrangement shows.
    background: Colour | None
    content: Picture | MutedPicture | Initials
    #: Pixels. Outside of the rounded corners the background of the arrangement shows.
    radius: int = 0
    border: Border | None = None
    label: Label | None = None

    @property
    def picture_sid(self) -> str | None:
        """The track whose pictures are drawn, if any."""
        return self.content.track_sid if isinstance(self.content, Picture) else None

    def place(self, picture: Size) -> Placement | None:
        """Where a decoded picture of this size goes; None when nothing of it is seen, or none is to be drawn.

        The fit was decided by what the publisher announced, so it stays when a picture of other proportions comes.
        """
        if not isinstance(self.content, Picture):
            return None
        return place(picture, self.box, self.rect, self.content.fit)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Everything on the canvas. Equal arrangements look the same, as far as the pictures do."""

    #: Size of the canvas.
    size: Size
    background: Colour
    #: From the lowest to the topmost.
    tiles: tuple[Tile, ...]
    #: Keys of what found no room: beyond the first page of a grid, below the strip, beside a single speaker.
    off_page: tuple[str, ...] = ()

    @property
    def track_sids(self) -> frozenset[str]:
        """The tracks whose pictures are needed."""
        return frozenset(tile.picture_sid for tile in self.tiles if tile.picture_sid is not None)
