"""Fonts of the system for names in any script, and the one inside Pillow where there is none.

Pillow is imported when the first text is drawn: most recordings draw none.
"""

from __future__ import annotations

import os
import re
import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

#: Sans serif families by preference. The first that has a character draws it.
_FAMILIES = tuple(
    re.compile(pattern)
    for pattern in (
        *(r"NotoSans-Regular\.", r"DejaVuSans\.", r"LiberationSans-Regular\.", r"Arial\.", r"FreeSans\."),
        *(r"NotoSansCJK-Regular\.", r"NotoSansCJK.*-Regular\.", r"NotoSans.*-Regular\.", r"wqy-.*\.", r"IPAGothic"),
        *(r"DroidSansFallback.*\.", r"Arial ?Unicode.*\.", r"Lohit-.*\.", r"unifont.*\."),
    )
)
_SUFFIXES = frozenset({".ttf", ".otf", ".ttc"})
#: No font has a character for it, so it shows what a font draws for those it has not.
_NO_CHARACTER = "\uffff"
_JOINERS = frozenset("\u200c\u200d")


class FontSet:
    """The fonts at one size (pixels)."""

    def __init__(self, size: int) -> None:
        from PIL import ImageFont

        self.size = size
        self._fonts = [ImageFont.truetype(str(path), size) for path in font_paths()]
        built_in = ImageFont.load_default(size)
        if isinstance(built_in, ImageFont.FreeTypeFont):
            self._fonts.append(built_in)
        self._missing = [_mask(font, _NO_CHARACTER) for font in self._fonts]
        self._chosen: dict[str, int | None] = {}

    @property
    def line(self) -> tuple[int, int]:
        """Ascent and descent of a line of text, pixels."""
        return self._fonts[0].getmetrics()

    def runs(self, text: str) -> list[tuple[FreeTypeFont, str]]:
        """The text in pieces of one font each.

        A character that no font has loses its accent, or is left out.
        """
        known: list[tuple[int, str]] = []
        for character in text:
            drawn, font = character, self._font_of(character)
            if font is None:
                drawn = unicodedata.normalize("NFKD", character)[0]
                font = self._font_of(drawn)
            # Spaces, marks and joiners stay with what they follow, or shaping breaks.
            if known and (character.isspace() or character in _JOINERS or unicodedata.combining(character)):
                font = known[-1][0]
            if font is not None:
                known.append((font, drawn))
        grouped = groupby(known, key=lambda pair: pair[0])
        return [(self._fonts[index], "".join(one for _, one in pairs)) for index, pairs in grouped]

    def width(self, text: str) -> float:
        """Pixels that the text advances."""
        return sum(font.getlength(run) for font, run in self.runs(text))

    def _font_of(self, character: str) -> int | None:
        if character not in self._chosen:
            self._chosen[character] = next(
                (
                    index
                    for index, font in enumerate(self._fonts)
                    if character.isspace() or _mask(font, character) != self._missing[index]
                ),
                None,
            )
        return self._chosen[character]


@lru_cache(maxsize=1)
def font_paths() -> tuple[Path, ...]:
    """Font files of this machine that are worth trying, the best first."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.suffix.lower() in _SUFFIXES:
                found.setdefault(path.name, path)
    ranked = [(rank, name) for name in found if (rank := _rank(name)) is not None]
    return tuple(found[name] for _, name in sorted(ranked))


def _rank(name: str) -> int | None:
    return next((rank for rank, family in enumerate(_FAMILIES) if family.match(name)), None)


def _folders() -> list[Path]:
    home = Path.home()
    data = os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
    own = os.environ.get("XDG_DATA_HOME", str(home / ".local/share"))
    folders = [Path(folder) / "fonts" for folder in (own, *data) if folder]
    return [*folders, home / ".fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]


def _mask(font: FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)
