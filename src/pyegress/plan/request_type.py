"""Which kind of request a JSON object is, when it says so by its fields."""

from __future__ import annotations

from collections.abc import Mapping

from pyegress.errors import InvalidRequest
from pyegress.plan.request_json import REQUEST_TYPES

#: What only one type has, or needs: a request of it has one of these.
_SIGNS: Mapping[str, tuple[str, ...]] = {
    "web": ("url",),
    "participant": ("identity",),
    "track-composite": ("audio_track_id", "video_track_id"),
    "track": ("track_id",),
    "egress": ("template", "web", "media"),
}


def guess_type(data: object) -> str:
    """The type (a key of `REQUEST_TYPES`) of a parsed request. Raises InvalidRequest when several or none would do."""
    if not isinstance(data, dict):
        raise _unclear("it is no object")
    names = {_snake(name) for name in data}
    signs = [type_ for type_, fields in _SIGNS.items() if names & set(fields)]
    if not signs and "room_name" in names:
        # A room as a whole has no sign of its own.
        fitting = [type_ for type_ in ("room-composite", "egress") if names <= _fields(type_)]
        signs = fitting[:1] or ["room-composite"]
    if len(signs) == 1:
        return signs[0]
    raise _unclear(f"it could be {' or '.join(signs)}" if signs else "it names neither a room nor a page")


def _unclear(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The request does not say of which type it is: {why}",
        field="type",
        remedy=f"Give --type, one of {', '.join(REQUEST_TYPES)}",
    )


def _fields(type_: str) -> set[str]:
    return {field.name for field in REQUEST_TYPES[type_].DESCRIPTOR.fields}


def _snake(name: object) -> str:
    """`roomName` as `room_name`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in str(name))
