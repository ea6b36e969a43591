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
#: Bytes that common file systems allow in one name, less room for a suffix that we add.
_MAX_NAME_BYTES = 200


def safe_component(value: str) -> str:
    """`value` (a room name, an identity) as part of one path component: no separators, no control characters.

    A value of dots alone would name a directory, so its dots become underscores; over-long values are cut at a
    character boundary.
    """
    cleaned = _UNSAFE.sub("_", value)
    if cleaned.strip(".") == "":
        cleaned = "_" * len(cleaned)
    while len(cleaned.encode()) > _MAX_NAME_BYTES:
        cleaned = cleaned[:-1]
    return cleaned


def time_tokens(at: Wall) -> dict[str, str]:
    """`time` = local `YYYY-MM-DDTHHMMSS`, `utc` = `YYYYMMDDHHMMSSmmm` in UTC."""
    utc = datetime.fromtimestamp(at, UTC)
    return {
        "time": utc.astimezone().strftime("%Y-%m-%dT%H%M%S"),
        "utc": utc.strftime("%Y%m%d%H%M%S") + f"{utc.microsecond // 1000:03d}",
    }


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """Replace `{token}` for every token in `values`; unknown tokens stay. Values are made safe first.

    Room tokens are `room_name`, `room_id`; after joining `publisher_identity`, `track_id`, `track_type`,
    `track_source`.
    """
    filled = template
    for token, value in values.items():
        filled = filled.replace("{" + token + "}", safe_component(value))
    return filled


def output_path(template: str, values: Mapping[str, str], *, automatic: str, codecs: frozenset[Codec]) -> PurePosixPath:
    """The path that a copy of `codecs` is written to.

    `template` empty or ending in `/` takes the name `automatic`. An extension that names a container must be able to
    hold every codec (else InvalidRequest); any other name gets the extension of the container that fits.
    """
    filled = fill_template(template, values)
    if not filled or filled.endswith("/"):
        filled += safe_component(automatic)
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


def container_refuses(container: Container, codec: Codec, path: str) -> InvalidRequest:
    """The error for a codec that does not fit the container which the path names."""
    fitting = container_for(frozenset({codec}))
    assert fitting is not None
    extension = fitting.value.extensions[0]
    return InvalidRequest(
        f"format {container.label} incompatible with codec {codec.label}: {path}",
        field="output",
        remedy=f"Name the file *{extension} (or give no extension); copies are never transcoded",
    )


def no_common_container(codecs: frozenset[Codec]) -> InvalidRequest:
    """The error for codecs that no container holds together as copies."""
    names = " and ".join(sorted(codec.label for codec in codecs))
    return InvalidRequest(
        f"no container holds {names} together without transcoding",
        field="output",
        remedy="Record the tracks into files of their own (`pyegress record tracks`)",
    )


def numbered(path: PurePosixPath, part: int) -> PurePosixPath:
    """The path of a further part of a recording: `talk.mp4` -> `talk-2.mp4`. Part 1 is the path itself."""
    return path if part == 1 else path.with_name(f"{path.stem}-{part}{path.suffix}")
