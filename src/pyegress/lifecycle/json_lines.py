"""Frozen dataclasses as lines of JSON and back: what processes of one version say to each other. Pure.

Every dataclass carries its class name, so that a field may be a union or a base class. Bytes are base64, enums go by
name, tuples are lists.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_CLASS = "is"


class BadLine(ValueError):
    """A line that is no message of ours. Shows nothing of it: lines carry secrets."""


def encode(message: object) -> bytes:
    """One line, with its newline."""
    return json.dumps(_plain(message), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes, *kinds: type | UnionType) -> object:
    """The message of a line, one of `kinds`: dataclasses, and unions of them. Raises BadLine."""
    try:
        value = json.loads(line)
        for kind in chain.from_iterable(get_args(each) or (each,) for each in kinds):
            if kind.__name__ == value[_CLASS]:
                return _dataclass(kind, value)
    except BadLine:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise BadLine(f"the line cannot be read ({type(error).__name__})") from None
    raise BadLine("the line is of no known kind")


def _plain(value: object) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case Enum():
            return value.name
        case tuple():
            return [_plain(item) for item in value]
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} cannot be sent")
    named = {field.name: _plain(getattr(value, field.name)) for field in fields(value) if field.init}
    return {_CLASS: type(value).__name__} | named


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _dataclass(kind: type, value: Any) -> object:
    hints = _hints(kind)
    return kind(**{name: _typed(hints[name], item) for name, item in value.items() if name != _CLASS})


def _typed(hint: Any, value: Any) -> Any:
    hint = getattr(hint, "__supertype__", hint)  # NewType
    if get_origin(hint) in (Union, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        others = [member for member in get_args(hint) if member is not NoneType]
        return _one_of(others, value) if len(others) > 1 else _typed(others[0], value)
    if get_origin(hint) is tuple:
        members = get_args(hint)
        if len(members) == 2 and members[1] is Ellipsis:
            return tuple(_typed(members[0], item) for item in value)
        return tuple(_typed(member, item) for member, item in zip(members, value, strict=True))
    if hint is bytes:
        return base64.b64decode(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint[value]
    if is_dataclass(hint):
        return _one_of([hint], value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint):
        raise BadLine(f"a value of a line is no {hint.__name__}")
    return value


def _one_of(kinds: list[Any], value: Any) -> object:
    for kind in kinds:
        for candidate in _family(kind):
            if candidate.__name__ == value[_CLASS]:
                return _dataclass(candidate, value)
    raise BadLine("a value of a line is of no known kind")


def _family(kind: type) -> Iterator[type]:
    yield kind
    children: list[type] = kind.__subclasses__()
    for child in children:
        # A dataclass with slots leaves the class behind that it was made of.
        if getattr(sys.modules[child.__module__], child.__name__, None) is child:
            yield from _family(child)
