"""File names: templates, automatic names, extensions. Values from the room cannot leave the chosen directory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.errors import InvalidRequest
from pyegress.plan.containers import Container, container_for

_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]+")
_TOKEN = re.compile(r"\{(\w+)\}")
#: Common file systems allow names of 255 bytes; the rest is room for an extension, a part number and the names of
#: files that are being finished.
_MAX_NAME_BYTES = 220


def safe_component(value: str, *, limit: int = _MAX_NAME_BYTES) -> str:
    """`value` (a room name, an identity) as part of one path component: no separators, no control characters.

    A value of dots alone would name a directory, so its dots become underscores, and no value at all becomes one;
    values of more than `limit` bytes are cut at a character boundary.
    """
    cleaned = _UNSAFE.sub("_", value)
    if cleaned.strip(".") == "":
        cleaned = "_" * max(1, len(cleaned))
    return _cut(cleaned, limit)


def _cut(text: str, limit: int) -> str:
    # What is no text (lone surrogates) is no file name either.
    return text.encode(errors="replace")[:limit].decode(errors="ignore")


def time_tokens(at: Wall) -> dict[str, str]:
    """`time` = local `YYYY-MM-DDTHHMMSS`, `utc` = `YYYYMMDDHHMMSSmmm` in UTC."""
    utc = datetime.fromtimestamp(at, UTC)
    return {
        "time": utc.astimezone().strftime("%Y-%m-%dT%H%M%S"),
        "utc": utc.strftime("%Y%m%d%H%M%S") + f"{utc.microsecond // 1000:03d}",
    }


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Replace `{token}` for every token in `values`; unknown tokens stay. Values are made safe first.

    A value cannot bring separators nor tokens of its own, and no component that has tokens becomes too long for a
    file system; its extension is kept.

    Room tokens are `room_name`, `room_id`; after joining `publisher_identity`, `track_id`, `track_type`,
    `track_source`.
    """
    return "/".join(_fill_component(component, values) for component in template.split("/"))


def _fill_component(component: str, values: Mapping[str, str]) -> str:
    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        return match[0] if value is None else safe_component(value)

    filled = _TOKEN.sub(fill, component)
    if filled == component or len(filled.encode(errors="replace")) <= _MAX_NAME_BYTES:
        return filled
    extension = _extension(component)
    return _cut(filled.removesuffix(extension), _MAX_NAME_BYTES - len(extension)) + extension


def _extension(name: str) -> str:
    """The extension of `name` that means a container, "" without one."""
    return PurePosixPath(name).suffix if Container.from_path(name) is not None else ""


def output_path(template: str, values: Mapping[str, str], *, automatic: str, codecs: frozenset[Codec]) -> PurePosixPath:
    """The path that a copy of `codecs` is written to.

    `template` empty or ending in `/` takes the name `automatic`. An extension that names a container must be able to
    hold every codec (else InvalidRequest); any other name gets the extension of the container that fits.
    """
    filled = _filled_path(template, values, automatic)
    container = Container.from_path(filled)
    if container is None:
        fitting = container_for(codecs)
        if fitting is None:
            raise no_common_container(codecs)
        return PurePosixPath(filled + fitting.value.extensions[0])
    for codec in codecs:
        if not container.holds(codec):
            raise container_refuses(container, codec, filled)
    return PurePosixPath(filled)


def part_path(
    template: str, values: Mapping[str, str], *, automatic: str, codecs: frozenset[Codec], part: int
) -> PurePosixPath:
    """The path of part 2 and on: that of part 1 with a number, and with the extension that its codecs need."""
    filled = _filled_path(template, values, automatic)
    named = Container.from_path(filled)
    fitting = named if named is not None and all(map(named.holds, codecs)) else container_for(codecs)
    if fitting is None:
        raise no_common_container(codecs)
    if named is None:
        return numbered(PurePosixPath(filled + fitting.value.extensions[0]), part)
    path = PurePosixPath(filled)
    return numbered(path if fitting is named else path.with_suffix(fitting.value.extensions[0]), part)


def _filled_path(template: str, values: Mapping[str, str], automatic: str) -> str:
    filled = fill_template(template, values)
    return filled + safe_component(automatic) if not filled or filled.endswith("/") else filled


def container_refuses(container: Container, codec: Codec, path: str) -> InvalidRequest:
    """The error for a codec that does not fit the container which the path names."""
    fitting = container_for(frozenset({codec}))
    assert fitting is not None
    extension = fitting.value.extensions[0]
    return InvalidRequest(
        f"{path}: format {container.label} incompatible with codec {codec.label}",
        field="output",
        remedy=f"Name the file *{extension} (or give no extension); copies are never transcoded",
    )


def no_common_container(codecs: frozenset[Codec]) -> InvalidRequest:
    """The error for codecs that no container holds together as copies."""
    names = " and ".join(sorted(codec.label for codec in codecs))
    return InvalidRequest(
        f"No container holds {names} together without transcoding",
        field="output",
        remedy="Record the tracks into files of their own (`pyegress record tracks`)",
    )


def numbered(path: PurePosixPath, part: int) -> PurePosixPath:
    """The path of a further part of a recording: `talk.mp4` -> `talk-2.mp4`. Part 1 is the path itself."""
    return path if part == 1 else path.with_name(f"{path.stem}-{part}{path.suffix}")
