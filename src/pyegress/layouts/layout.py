"""Layout names as requests and UpdateLayout carry them, with the options that are pyegress's own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from pyegress.errors import InvalidRequest

#: Pixels. Beyond it a gap or a corner is a mistake at any output size.
MAX_PIXELS = 200
_LIGHT = "-light"
_WHOLE = re.compile(r"[0-9]{1,6}")
_SWITCH = {"1": True, "0": False, "true": True, "false": False}


class Arranging(Enum):
    """The three ways to arrange pictures."""

    GRID = "grid"
    SPEAKER = "speaker"
    SINGLE_SPEAKER = "single-speaker"


@dataclass(frozen=True, slots=True)
class Options:
    """What pyegress can draw beyond the reference's layouts; all off by default."""

    #: A label with the name on each tile.
    names: bool = False
    #: Pixels between tiles and around them.
    gap: int = 0
    #: Corner radius of tiles in pixels.
    radius: int = 0
    #: A border around the tiles of those who speak.
    speaking: bool = False
    #: Tiles with initials for people without video.
    placeholders: bool = False

    def __str__(self) -> str:
        """As in a layout name, only what is not default."""
        given = {"names": self.names, "gap": self.gap, "radius": self.radius, "speaking": self.speaking}
        given["placeholders"] = self.placeholders
        return "&".join(f"{name}={int(value)}" for name, value in given.items() if value)


DEFAULT_OPTIONS = Options()


@dataclass(frozen=True, slots=True)
class Layout:
    """A parsed layout name."""

    #: The name without options, as it was given; may be empty.
    name: str
    options: Options = DEFAULT_OPTIONS

    @classmethod
    def parse(cls, text: str) -> Layout:
        """`grid`, `speaker-light?names=1&gap=8`, ... Unknown names mean a grid, as the default templates take them.

        Raises InvalidRequest for options that do not exist or have a value out of range.
        """
        name, _, options = text.partition("?")
        return cls(name, _options(options))

    @property
    def arranging(self) -> Arranging:
        """Decided by how the name begins, as the default templates do."""
        if self.name.startswith("speaker"):
            return Arranging.SPEAKER
        if self.name.startswith("single-speaker"):
            return Arranging.SINGLE_SPEAKER
        return Arranging.GRID

    @property
    def light(self) -> bool:
        """White behind the pictures instead of black."""
        return self.name.endswith(_LIGHT)

    def arranging_with(self, *, screen_share: bool) -> Arranging:
        """A grid by name becomes speaker while somebody shares a screen; a grid for want of a known name does not."""
        if screen_share and self.name.startswith("grid"):
            return Arranging.SPEAKER
        return self.arranging

    def __str__(self) -> str:
        options = str(self.options)
        return f"{self.name}?{options}" if options else self.name


def layout_in_metadata(metadata: str) -> str | None:
    """The layout that UpdateLayout wrote into our own participant's metadata; None when it holds none.

    Metadata is free text that others may write too, so nothing in it is an error.
    """
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    layout = found.get("layout") if isinstance(found, dict) else None
    return layout if isinstance(layout, str) and layout else None


class _Option(Enum):
    """How an option's value is written."""

    SWITCH = "0 or 1"
    PIXELS = f"a whole number of pixels from 0 to {MAX_PIXELS}"


_OPTIONS = {
    "names": _Option.SWITCH,
    "gap": _Option.PIXELS,
    "radius": _Option.PIXELS,
    "speaking": _Option.SWITCH,
    "placeholders": _Option.SWITCH,
}


def _options(text: str) -> Options:
    values: dict[str, int] = {}
    for part in filter(None, text.split("&")):
        name, _, value = part.partition("=")
        if name not in _OPTIONS:
            raise InvalidRequest(
                f"The layout option {name[:40]!r} does not exist",
                field="layout",
                remedy=f"Options are {', '.join(_OPTIONS)}, for instance grid?names=1&gap=8",
            )
        if name in values:
            raise InvalidRequest(
                f"The layout option {name!r} is given twice", field="layout", remedy=f"Give {name} once, with one value"
            )
        values[name] = _value(name, value)
    return Options(
        names=bool(values.get("names")),
        gap=values.get("gap", 0),
        radius=values.get("radius", 0),
        speaking=bool(values.get("speaking")),
        placeholders=bool(values.get("placeholders")),
    )


def _value(name: str, text: str) -> int:
    option = _OPTIONS[name]
    match option:
        case _Option.SWITCH:
            if text.lower() in _SWITCH:
                return _SWITCH[text.lower()]
        case _Option.PIXELS:
            if _WHOLE.fullmatch(text) and int(text) <= MAX_PIXELS:
                return int(text)
        case _:
            assert_never(option)
    example = "8" if option is _Option.PIXELS else "1"
    raise InvalidRequest(
        f"The layout option {name!r} is {text[:40]!r}, which is not {option.value}",
        field="layout",
        remedy=f"Write {name}={example}, or leave it out",
    )
