"""How visible the person glyph of a tile is: it appears after a mute and goes after an unmute in 0.2 s."""

from __future__ import annotations

from pyegress.layouts.arrangement import MutedPicture, Picture, Tile
from pyegress.layouts.person_glyph import FADE, Glyph, fade_in, glyph_in


class GlyphFade:
    """Follows one tile; `now` is any clock in seconds that does not go back.

    A tile that is muted when it first appears has its glyph at once, as CSS fades changes only.
    """

    def __init__(self, tile: Tile) -> None:
        self._rising = _glyph_of(tile) is not None
        self._glyph = _glyph_of(tile)
        #: How far the fade had come at `_since`, 0..1 of its time.
        self._progress = float(self._rising)
        self._since = 0.0
        self._moving = False

    def follow(self, tile: Tile, now: float) -> None:
        """Take over the tile of a new arrangement."""
        wanted = _glyph_of(tile)
        if (wanted is not None) != self._rising:
            self._progress, self._since, self._moving = self._at(now), now, True
            self._rising = wanted is not None
        if wanted is not None:
            self._glyph = wanted
        elif isinstance(tile.content, Picture) and self._moving:
            self._glyph = glyph_in(tile.box)
        else:
            self._progress, self._moving, self._glyph = 0.0, False, None

    @property
    def moving(self) -> bool:
        """It looks different at the next tick, though nothing else changes."""
        return self._moving

    def look(self, now: float) -> tuple[Glyph | None, float]:
        """The glyph and its opacity (0..1) at `now`."""
        progress = self._at(now)
        if self._moving and progress == float(self._rising):
            self._progress, self._moving = progress, False
        if not self._moving:
            return (self._glyph if progress else None), progress
        return self._glyph, fade_in(progress * FADE)

    def _at(self, now: float) -> float:
        if not self._moving:
            return self._progress
        gone = (now - self._since) / FADE
        return min(1.0, max(0.0, self._progress + (gone if self._rising else -gone)))


def _glyph_of(tile: Tile) -> Glyph | None:
    return tile.content.glyph if isinstance(tile.content, MutedPicture) else None
