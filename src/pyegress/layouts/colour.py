"""Colours of the layouts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Colour:
    """sRGB, each component 0..255; `alpha` 255 is opaque."""

    red: int
    green: int
    blue: int
    alpha: int = 255


BLACK = Colour(0, 0, 0)
WHITE = Colour(255, 255, 255)
#: White at a quarter: #404040 over black.
GLYPH_WHITE = Colour(255, 255, 255, 64)
#: Behind the text of a label.
LABEL_SHADE = Colour(0, 0, 0, 128)
#: The blue of LiveKit's own theme for those who speak.
SPEAKING_BLUE = Colour(0x1F, 0x8C, 0xF9)

#: Dark enough for white initials.
_PERSONAL = (
    *(Colour(0x5B, 0x3A, 0x8C), Colour(0x1F, 0x5F, 0x8B), Colour(0x1E, 0x6B, 0x52), Colour(0x8A, 0x4B, 0x1C)),
    *(Colour(0x8C, 0x2F, 0x45), Colour(0x3F, 0x51, 0x8C), Colour(0x5A, 0x6B, 0x1E), Colour(0x7A, 0x2F, 0x7A)),
)


def personal_colour(identity: str) -> Colour:
    """A colour that stays a participant's own, in every recording."""
    return _PERSONAL[zlib.crc32(identity.encode(errors="replace")) % len(_PERSONAL)]
