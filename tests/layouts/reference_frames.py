"""What the reference's own pictures show: edges measured in settled frames of its default templates, 1280x720.

Measured in the decoded frames as the strongest differences between neighbouring columns and rows: a tile's edges are
the first column and row that belong to it, and the first that do not; bars and header are weighted means over two to
four pixels, as scaling blurs them. The frames were recorded in Chrome's kiosk window, whose page is 1279x719: the
last column and row are black, and halves of it are 639.5 and 359.5.

Every participant publishes 640x360: a header of 36 rows over six upright bars, whose five inner edges are given.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredTile:
    """One participant's tile; all in pixels of the frame."""

    person: str
    left: int
    top: int
    right: int
    bottom: int
    #: The inner edges of the bars that are seen.
    bars: tuple[float, ...]
    #: The header's lower edge.
    header: float


@dataclass(frozen=True, slots=True)
class MeasuredFrame:
    name: str
    layout: str
    #: How many participants publish video; the frame may have more without.
    publishing: int
    light: bool
    tiles: tuple[MeasuredTile, ...]


#: Inner edges of the bars and lower edge of the header in the published picture, from the lone full frame.
SOURCE_BARS = (108.2, 214.0, 320.0, 428.1, 534.1)
SOURCE_HEADER = 36.0

_FULL = MeasuredTile("P0", 0, 0, 1279, 719, (216.3, 427.6, 639.5, 855.6, 1067.3), 72.0)
_MAIN = MeasuredTile("P0", 213, 0, 1279, 719, (323.1, 534.8, 746.3, 961.6, 1173.4), 72.0)
_THREE = (
    MeasuredTile("P0", 0, 0, 640, 360, (108.5, 214.4, 320.3, 428.3, 534.5), 36.0),
    MeasuredTile("P1", 640, 0, 1279, 360, (748.4, 854.4, 960.4, 1068.0, 1174.4), 36.0),
    MeasuredTile("P2", 0, 360, 640, 719, (108.5, 214.6, 320.2, 428.6, 534.5), 395.2),
)
_STRIP = (
    MeasuredTile("P1", 0, 0, 213, 133, (28.4, 67.4, 107.0, 146.9, 186.4), 13.2),
    MeasuredTile("P2", 0, 133, 213, 266, (28.4, 67.2, 106.8, 147.1, 186.4), 146.0),
)

FRAMES = (
    MeasuredFrame("grid_1p", "grid", 1, False, (_FULL,)),
    MeasuredFrame(
        "grid_2p",
        "grid",
        2,
        False,
        (
            MeasuredTile("P0", 0, 0, 640, 719, (108.8, 320.3, 535.6), 72.0),
            MeasuredTile("P1", 640, 0, 1279, 719, (747.6, 959.2, 1175.0), 72.0),
        ),
    ),
    MeasuredFrame("grid_3p", "grid", 3, False, _THREE),
    MeasuredFrame("grid_3p_1video", "grid", 1, False, (_FULL,)),
    MeasuredFrame("grid-light_3p", "grid-light", 3, True, _THREE),
    MeasuredFrame("grid-light_1p_0video", "grid-light", 0, True, ()),
    MeasuredFrame("speaker_1p", "speaker", 1, False, (_FULL,)),
    MeasuredFrame("speaker_2p", "speaker", 2, False, (_MAIN, _STRIP[0])),
    MeasuredFrame("speaker_3p", "speaker", 3, False, (_MAIN, *_STRIP)),
    MeasuredFrame("single-speaker_2p", "single-speaker", 2, False, (_FULL,)),
)
