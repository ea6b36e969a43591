"""One picture over the whole canvas: what recordings of a participant or a track draw."""

from __future__ import annotations

from pyegress.layouts.arrangement import Arrangement, Picture, Tile
from pyegress.layouts.colour import BLACK
from pyegress.layouts.geometry import Box, Size, even_canvas
from pyegress.layouts.placement import Fit


def single_picture(size: Size, track_sid: str | None, identity: str = "") -> Arrangement:
    """All of the track's picture, centred, black bars where its proportions are others; black without a track."""
    if track_sid is None:
        return Arrangement(size, BLACK, ())
    canvas = even_canvas(size.width, size.height)
    tile = Tile(
        key=track_sid,
        identity=identity,
        rect=canvas,
        box=Box(canvas.x, canvas.y, canvas.width, canvas.height),
        background=BLACK,
        content=Picture(track_sid, Fit.CONTAIN),
    )
    return Arrangement(size, BLACK, (tile,))
