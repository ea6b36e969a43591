"""YAML sections as frozen dataclasses: the fields are the keys, their types the checks, and errors name the key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pyegress.errors import InvalidRequest

#: Written as `1h30m`, `15s` or `500ms`.
Seconds = NewType("Seconds", float)
UNLIMITED = Seconds(0.0)
#: A section whose keys are not known here.
AnySection = Mapping[str, Any]

_T = TypeVar("_T")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def bad_config(key: str, what: str, remedy: str) -> InvalidRequest:
    """An error of the configuration. `what` must not show a value that may be a secret."""
    return InvalidRequest(f"The configuration is wrong: {key or 'it'} {what}", field=key, remedy=remedy)


def read_section(kind: type[_T], values: object, key: str, warnings: list[str]) -> _T:
    """A `kind` from a mapping. Raises InvalidRequest; unknown keys go to `warnings`, with the nearest known name."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise bad_config(key, "must be a section with keys", "Indent its keys below it")
    hints = _hints(cast(type, kind))
    known = {_name(field): field for field in fields(kind) if field.init}  # type: ignore[arg-type]
    arguments = {}
    for name, value in values.items():
        where = f"{key}.{name}" if key else str(name)
        field = known.get(str(name))
        if field is None:
            warnings.append(_unknown(where, str(name), known))
        elif value is not None:
            arguments[field.name] = _value(hints[field.name], value, where, warnings)
    for name, field in known.items():
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in arguments:
            raise bad_config(f"{key}.{name}" if key else name, "is missing", f"Set {name}")
    return kind(**arguments)


def parse_seconds(text: str) -> float | None:
    """A duration as Go writes it, in seconds; None when it is none."""
    rest = text.strip()
    if rest == "0":
        return 0.0
    pieces = _PIECE.findall(rest)
    if not pieces or "".join(number + unit for number, unit in pieces) != rest:
        return None
    return float(sum(float(number) * _UNITS[unit] for number, unit in pieces))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _name(field: Any) -> str:
    return str(field.metadata.get("key", field.name))


def _unknown(where: str, name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"The key {where} of the configuration is not known and has no effect; {hint}"


def _value(hint: Any, value: object, key: str, warnings: list[str]) -> object:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = [member for member in get_args(hint) if member is not NoneType]
    if hint is Seconds:
        return _seconds(value, key)
    if hint == AnySection:
        if not isinstance(value, Mapping):
            raise bad_config(key, "must be a section with keys", "Indent its keys below it")
        return dict(value)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise bad_config(key, "must be a list", "Write [a, b] or one item a line after a dash")
        (member, *_) = get_args(hint)
        return tuple(_value(member, item, f"{key}[{index}]", warnings) for index, item in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        return read_section(hint, value, key, warnings)
    return _scalar(hint, value, key)


def _seconds(value: object, key: str) -> float:
    seconds = parse_seconds(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if seconds is None:
        raise bad_config(key, "is no duration", "Write it with units, for instance 15s, 500ms or 1h30m")
    return seconds


def _scalar(hint: Any, value: object, key: str) -> object:
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    # Keys and passwords of digits alone are numbers to YAML.
    if hint is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]
    raise bad_config(key, f"must be {wanted}", f"Write {wanted}")
