"""From the scene to the arrangement: keeps the order of tiles, the main speaker and the fit of each track."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import assert_never

from pyegress.clock import Monotonic
from pyegress.layouts.arrangement import Arrangement, Border, Initials, MutedPicture, Picture, Tile
from pyegress.layouts.colour import BLACK, SPEAKING_BLUE, WHITE, Colour, personal_colour
from pyegress.layouts.focus import STRIP_BLOCK, focus
from pyegress.layouts.geometry import Box, Rect, Size, even_canvas, nearest_even
from pyegress.layouts.grid import grid_boxes, grid_shape
from pyegress.layouts.label import initials_of, label_in
from pyegress.layouts.layout import Arranging, Layout
from pyegress.layouts.order import Entry, StableOrder, entries_of, sort_order
from pyegress.layouts.person_glyph import glyph_in
from pyegress.layouts.placement import Fit
from pyegress.layouts.scene import Scene, VideoSource
from pyegress.layouts.speaker import SpeakerPicker


class Arranger:
    """Arranges one room on one canvas. Call `arrange` at every change of the scene and at `next_change`."""

    def __init__(self, layout: Layout, size: Size) -> None:
        if size.width < 2 or size.height < 2:
            raise ValueError(f"a canvas of {size.width}x{size.height} pixels has no room for a tile")
        self._layout = layout
        self._size = size
        self._canvas = even_canvas(size.width, size.height)
        self._picker = SpeakerPicker()
        self._portrait: dict[str, bool] = {}
        self._arranging: Arranging | None = None
        self._forget_order()

    @property
    def layout(self) -> Layout:
        return self._layout

    def change_layout(self, layout: Layout) -> None:
        """Arrange by another layout from now on (UpdateLayout). The main speaker stays."""
        self._layout = layout

    def next_change(self, now: Monotonic) -> Monotonic | None:
        """When the arrangement will change though nothing happens in the room; None for not before an event."""
        return self._picker.next_change(now)

    def arrange(self, scene: Scene, now: Monotonic) -> Arrangement:
        """The arrangement at `now`, which never goes back."""
        present = {participant.identity for participant in scene.participants if not participant.hidden}
        self._picker.keep(present)
        self._picker.hear({one.identity: one.level for one in scene.speakers if one.identity in present}, now)
        entries = entries_of(scene, placeholders=self._layout.options.placeholders)
        self._note_portraits(entries)
        arranging = self._layout.arranging_with(screen_share=scene.has_screen_share)
        if arranging is not self._arranging:
            self._forget_order()
            self._arranging = arranging
        ordered = sort_order(entries, partial(self._picker.settled, now=now))
        # Asked even while nothing depends on it, so that the main speaker is known when it does.
        main = self._main(ordered, now)
        match arranging:
            case Arranging.GRID:
                tiles = self._grid(ordered)
            case Arranging.SPEAKER:
                tiles = self._speaker(main, ordered)
            case Arranging.SINGLE_SPEAKER:
                tiles = self._lone(main)
            case _:
                assert_never(arranging)
        shown = {tile.key for tile in tiles}
        off_page = tuple(entry.key for entry in ordered if entry.key not in shown)
        return Arrangement(self._size, WHITE if self._layout.light else BLACK, tuple(tiles), off_page)

    def _forget_order(self) -> None:
        self._grid_order = StableOrder()
        self._strip_blocks = StableOrder()
        self._strip_order = StableOrder()

    def _note_portraits(self, entries: Sequence[Entry]) -> None:
        """Decide the fit of each track when it comes with a size: one that turns later keeps it."""
        tracks = {entry.key: entry.track for entry in entries if entry.track is not None}
        known = {key: portrait for key, portrait in self._portrait.items() if key in tracks}
        new = {key: track.portrait for key, track in tracks.items() if track.sized and key not in known}
        self._portrait = known | new

    def _main(self, ordered: Sequence[Entry], now: Monotonic) -> Entry | None:
        """A screen share if there is one, else the picked camera, else whatever there is."""
        cameras = {entry.key: entry for entry in ordered if entry.source is VideoSource.CAMERA}
        picked = self._picker.pick(list(cameras.values()), now)
        first = next(iter(ordered), None)
        if picked is None or first is None or first.source is not VideoSource.CAMERA:
            return first
        return cameras[picked]

    def _grid(self, ordered: Sequence[Entry]) -> list[Tile]:
        shape = grid_shape(len(ordered), self._size.width, self._size.height)
        boxes = grid_boxes(shape, len(ordered), self._canvas, self._layout.options.gap)
        by_key = {entry.key: entry for entry in ordered}
        keys = self._grid_order.update(list(by_key), shape.capacity)
        return [self._tile(by_key[key], box, box.snapped()) for key, box in zip(keys, boxes, strict=False)]

    def _speaker(self, main: Entry | None, ordered: Sequence[Entry]) -> list[Tile]:
        others = {entry.key: entry for entry in ordered if main is None or entry.key != main.key}
        if main is None or not others:
            self._strip_blocks, self._strip_order = StableOrder(), StableOrder()
            return self._lone(main)
        areas = focus(self._canvas, self._layout.options.gap)
        blocks = self._strip_blocks.update(list(others), STRIP_BLOCK)
        keys = self._strip_order.update(blocks, areas.fitting)
        strip = areas.strip.snapped()
        tiles = [self._tile(main, areas.main, areas.main.snapped())]
        for key, box in zip(keys, areas.strip_boxes(len(keys)), strict=True):
            visible = box.snapped().cut(strip)
            if not visible.empty:
                tiles.append(self._tile(others[key], box, visible))
        return tiles

    def _lone(self, main: Entry | None) -> list[Tile]:
        """One picture over the whole canvas, which is no tile of the page: without glyph, gap and corners."""
        if main is None:
            return []
        canvas = self._canvas
        box = Box(canvas.x, canvas.y, canvas.width, canvas.height)
        return [self._tile(main, box, canvas, lone=True)]

    def _tile(self, entry: Entry, box: Box, visible: Rect, *, lone: bool = False) -> Tile:
        options = self._layout.options
        border = None
        if options.speaking and not lone and self._picker.is_speaking(entry.identity):
            border = Border(max(2, nearest_even(self._canvas.height / 180)), SPEAKING_BLUE)
        return Tile(
            key=entry.key,
            identity=entry.identity,
            rect=visible,
            box=box,
            background=self._background(entry),
            content=self._content(entry, box, lone=lone),
            radius=0 if lone else min(options.radius, visible.width // 2, visible.height // 2),
            border=border,
            label=label_in(box, visible, _label_text(entry)) if options.names else None,
        )

    def _background(self, entry: Entry) -> Colour | None:
        if entry.track is None:
            return personal_colour(entry.identity)
        landscape_camera = entry.source is VideoSource.CAMERA and not self._portrait.get(entry.key, False)
        return BLACK if landscape_camera else None

    def _content(self, entry: Entry, box: Box, *, lone: bool) -> Picture | MutedPicture | Initials:
        track = entry.track
        if track is None:
            size = max(2, nearest_even(min(box.width, box.height) * 0.35))
            return Initials(initials_of(entry.participant.shown_name), size)
        if track.muted:
            has_glyph = track.source is VideoSource.CAMERA and not lone
            return MutedPicture(track.sid, glyph_in(box) if has_glyph else None)
        return Picture(track.sid, self._fit(entry, lone=lone))

    def _fit(self, entry: Entry, *, lone: bool) -> Fit:
        match entry.source:
            case VideoSource.CAMERA:
                return Fit.CONTAIN if self._portrait.get(entry.key, False) else Fit.COVER
            case VideoSource.SCREEN_SHARE:
                return Fit.CONTAIN
            case VideoSource.UNKNOWN:
                return Fit.NATURAL if lone else Fit.WIDTH
            case _:
                assert_never(entry.source)


def _label_text(entry: Entry) -> str:
    name = entry.participant.shown_name
    return f"{name}'s screen" if entry.source is VideoSource.SCREEN_SHARE else name
