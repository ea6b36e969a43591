"""Composes the pictures of a room into the pictures of the output."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import av

from pyegress.layouts.arrangement import Arrangement, Tile
from pyegress.layouts.geometry import Rect, Size
from pyegress.media.frame_pool import FramePool
from pyegress.media.glyph_fade import GlyphFade
from pyegress.media.planes import Planes, planes_of
from pyegress.media.tile_painter import TilePainter, around

#: Pictures kept for use again: the encoder's queue and what it holds itself, with room to spare.
POOLED = 14


class Canvas:
    """Draws arrangements of one size, even in both directions, into yuv420p pictures (BT.709, limited range).

    It draws only what has changed, and copies the rest from the picture before. Pictures stay as they are for as long
    as anybody refers to them. Not for more than one thread, but the pictures may go to others.
    """

    def __init__(self, size: Size, *, pooled: int = POOLED) -> None:
        if size.width % 2 or size.height % 2 or size.width < 2 or size.height < 2:
            raise ValueError(f"a canvas of {size.width}x{size.height} pixels is not even")
        self.size = size
        #: Tiles that were drawn, counted each time.
        self.drawn = 0
        self._pool = FramePool(size.width, size.height, pooled)
        self._arrangement: Arrangement | None = None
        self._overlapping = False
        #: What no tile covers.
        self._bare: list[Rect] = []
        self._painters: dict[str, TilePainter] = {}
        self._fades: dict[str, GlyphFade] = {}
        self._pictures: dict[str, av.VideoFrame | None] = {}
        self._last: av.VideoFrame | None = None

    def compose(
        self,
        arrangement: Arrangement,
        pictures: Mapping[str, av.VideoFrame | None],
        changed: Collection[str],
        now: float,
    ) -> av.VideoFrame:
        """The output picture at `now` (seconds, never going back; only fades depend on it).

        `pictures` by track sid are as decoded (`VideoTrack.picture`); a track without one shows its tile's background.
        `changed` are the sids whose pictures differ from the last call's. When nothing has changed the same frame is
        returned again: set its pts where it is used, not before.
        """
        if arrangement.size != self.size:
            raise ValueError(f"an arrangement of {arrangement.size} does not fit a canvas of {self.size}")
        stale = self._rearrange(arrangement, now)
        for tile in arrangement.tiles:
            sid = tile.picture_sid
            picture = None if sid is None else pictures.get(sid)
            if sid in changed or picture is not self._pictures.get(tile.key) or self._fades[tile.key].moving:
                stale.add(tile.key)
            self._pictures[tile.key] = picture
        if stale and self._overlapping:
            stale.update(tile.key for tile in arrangement.tiles)
        if stale or self._last is None:
            self._last = self._whole(arrangement, now) or self._drawn(arrangement, stale, now)
        return self._last

    def _whole(self, arrangement: Arrangement, now: float) -> av.VideoFrame | None:
        """The picture of a lone tile, which is the whole canvas: nothing has to be copied. None if there is more."""
        if len(arrangement.tiles) != 1:
            return None
        (tile,) = arrangement.tiles
        picture, (glyph, _) = self._pictures[tile.key], self._fades[tile.key].look(now)
        if picture is None or glyph is not None:
            return None
        frame = self._painters[tile.key].whole(tile, picture, arrangement.background, self.size)
        self.drawn += frame is not None
        return frame

    def _drawn(self, arrangement: Arrangement, stale: Collection[str], now: float) -> av.VideoFrame:
        """A new picture: stale tiles are drawn, the others copied from the last one."""
        last = None if self._last is None else planes_of(self._last)
        frame = self._pool.take()
        planes = planes_of(frame)
        for rect in self._bare:
            planes.part(rect).fill(arrangement.background)
        for tile in arrangement.tiles:
            if last is None or tile.key in stale:
                self._draw(tile, now, planes)
            else:
                planes.part(tile.rect).copy_from(last.part(tile.rect))
        return frame

    def _rearrange(self, arrangement: Arrangement, now: float) -> set[str]:
        """Prepare for another arrangement; which tiles have to be drawn for it."""
        last, self._arrangement = self._arrangement, arrangement
        if last is not None and last == arrangement:
            return set()
        tiles = {tile.key: tile for tile in arrangement.tiles}
        for kept in (self._painters, self._fades, self._pictures):
            for gone in [key for key in kept if key not in tiles]:
                del kept[gone]
        for key, tile in tiles.items():
            self._painters.setdefault(key, TilePainter())
            self._fades.setdefault(key, GlyphFade(tile)).follow(tile, now)
        before = () if last is None else last.tiles
        if last is not None and last.background == arrangement.background and _places(last) == _places(arrangement):
            return {tile.key for tile, old in zip(arrangement.tiles, before, strict=True) if tile != old}
        self._overlapping = _overlapping(arrangement.tiles)
        self._bare = _bare(self.size, [tile.rect for tile in arrangement.tiles])
        self._last = None  # even when no tile is left to draw
        return set(tiles)

    def _draw(self, tile: Tile, now: float, planes: Planes) -> None:
        assert self._arrangement is not None
        glyph, opacity = self._fades[tile.key].look(now)
        picture, behind = self._pictures[tile.key], self._arrangement.background
        self._painters[tile.key].paint(tile, picture, behind, glyph, opacity, planes)
        self.drawn += 1


def _places(arrangement: Arrangement) -> list[tuple[str, object]]:
    return [(tile.key, tile.rect) for tile in arrangement.tiles]


def _bare(size: Size, tiles: Collection[Rect]) -> list[Rect]:
    """What of the canvas the tiles leave."""
    left = [Rect(0, 0, size.width, size.height)]
    for tile in tiles:
        left = [piece for rect in left for piece in around(rect, rect.cut(tile))]
    return left


def _overlapping(tiles: Collection[Tile]) -> bool:
    rects = [tile.rect for tile in tiles]
    return any(not a.cut(b).empty for index, a in enumerate(rects) for b in rects[:index])
