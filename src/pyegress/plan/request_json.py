"""Requests from JSON files, as `lk egress start --type …` takes them: protobuf JSON with errors that name the field."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest
from pyegress.plan.form import EgressRequest

#: What `--type` may be. `egress` is the V2 request.
REQUEST_TYPES: Mapping[str, type[EgressRequest]] = {
    "room-composite": pb.RoomCompositeEgressRequest,
    "web": pb.WebEgressRequest,
    "participant": pb.ParticipantEgressRequest,
    "track-composite": pb.TrackCompositeEgressRequest,
    "track": pb.TrackEgressRequest,
    "egress": pb.StartEgressRequest,
}

_BOUNDS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_FLOATS = (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT)
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def request_from_json(type_: str, text: str | bytes, *, ignore_unknown: bool = False) -> EgressRequest:
    """Read a request of `type_` (a key of `REQUEST_TYPES`); names of fields in snake_case or camelCase.

    InvalidRequest names the field by its path, e.g. `file_outputs[0].s3.bucket`, and never shows a value. With
    `ignore_unknown` fields that the request does not have are skipped instead.
    """
    known = REQUEST_TYPES.get(type_)
    if known is None:
        raise InvalidRequest(
            f"There is no egress of type {type_!r}",
            field="type",
            remedy=f"Use one of {', '.join(REQUEST_TYPES)}",
        )
    try:
        data = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request is not JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            field="request",
            remedy="Check commas and quotation marks there",
        ) from None
    except RecursionError:
        raise InvalidRequest(
            "The request is nested too deeply", field="request", remedy="Send an object as in the documentation"
        ) from None
    except ValueError:
        # Bytes of another encoding, or a number of thousands of digits.
        raise InvalidRequest("The request is not JSON in UTF-8", field="request", remedy="Save it as UTF-8") from None
    request = known()
    merge_json(request, data, ignore_unknown=ignore_unknown)
    return request


def merge_json(message: Message, data: object, *, ignore_unknown: bool = False) -> None:
    """Set the fields of `message` from a parsed JSON object; InvalidRequest as `request_from_json`."""
    _fill(message, data, "", ignore_unknown=ignore_unknown)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _refused(name, "is there twice", "Keep one of them")
    return dict(pairs)


def _refused(path: str, what: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(f"The request cannot be read: {path or 'it'} {what}", field=path or "request", remedy=remedy)


def _expected(path: str, what: str, value: object) -> InvalidRequest:
    return _refused(path, f"must be {what}, not {_KINDS.get(type(value), 'null')}", f"Write {what}")


def _fill(message: Message, data: object, path: str, *, ignore_unknown: bool) -> None:
    if not isinstance(data, dict):
        raise _expected(path, "an object", data)
    descriptor = cast(Descriptor, message.DESCRIPTOR)
    fields = _fields(descriptor)
    seen: dict[str, str] = {}
    for name, value in data.items():
        where = f"{path}.{name}" if path else name
        field = fields.get(name)
        if field is None:
            if ignore_unknown:
                continue
            raise _unknown(where, name, descriptor)
        if value is None:
            continue
        # Both spellings of one field, or two members of a oneof: one of them would be lost silently.
        slot = field.containing_oneof.name if field.containing_oneof else field.name
        if slot in seen:
            raise _refused(where, f"and {seen[slot]} exclude each other", "Keep one of them")
        seen[slot] = name
        _set(message, field, value, where, ignore_unknown=ignore_unknown)


def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name, field.camelcase_name)}


def _unknown(where: str, name: str, descriptor: Descriptor) -> InvalidRequest:
    names = [field.name for field in descriptor.fields]
    near = difflib.get_close_matches(name, names, n=1)
    remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}"
    return _refused(where, f"is no field of {descriptor.name}", remedy)


def _set(message: Message, field: FieldDescriptor, value: object, where: str, *, ignore_unknown: bool) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            raise _expected(where, "an object", value)
        for key, item in value.items():
            target[key] = _scalar(field.message_type.fields_by_name["value"], item, f"{where}.{key}")
    elif field.is_repeated:
        if not isinstance(value, list):
            raise _expected(where, "a list", value)
        for index, item in enumerate(value):
            at = f"{where}[{index}]"
            if field.message_type is None:
                target.append(_scalar(field, item, at))
            else:
                _fill(target.add(), item, at, ignore_unknown=ignore_unknown)
    elif field.message_type is not None:
        # An empty block is there all the same.
        target.SetInParent()
        _fill(target, value, where, ignore_unknown=ignore_unknown)
    else:
        setattr(message, field.name, _scalar(field, value, where))


def _scalar(field: FieldDescriptor, value: object, where: str) -> object:
    if field.enum_type is not None:
        return _enum(field.enum_type, value, where)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            raise _expected(where, "true or false", value)
        return value
    if field.type in _BOUNDS:
        return _integer(value, where, *_BOUNDS[field.type])
    if field.type in _FLOATS:
        return _float(value, where)
    if not isinstance(value, str):
        raise _expected(where, "text", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _refused(where, "is no text: it has half a character", "Write whole characters") from None
    return value


def _enum(enum: EnumDescriptor, value: object, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(_integer(value, where, -(2**31), 2**31 - 1))
    if not isinstance(value, str):
        raise _expected(where, "a name", value)
    known = enum.values_by_name.get(value)
    if known is None:
        names = list(enum.values_by_name)
        near = difflib.get_close_matches(value.upper(), names, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(names)}"
        raise _refused(where, f"is no {enum.name}", remedy)
    return known.number


def _integer(value: object, where: str, least: int, most: int) -> int:
    number: int | None = None
    # Protobuf JSON writes 64-bit integers as text, and takes 3.0 for 3.
    if isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            raise _expected(where, "a whole number", value) from None
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None:
        raise _expected(where, "a whole number", value)
    if not least <= number <= most:
        raise _refused(where, "is out of range", f"Write a whole number from {least} to {most}")
    return number


def _float(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _expected(where, "a number", value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _expected(where, "a number", value) from None
    if not math.isfinite(number):
        raise _refused(where, "is not finite", "Write a number")
    return number
