"""AMF0, the encoding of RTMP's commands (Action Message Format, AMF 0, Adobe 2007)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum

from pyegress.rtp.errors import ProtocolError

Value = float | bool | str | None | Mapping[str, "Value"] | list["Value"]

_END = b"\x00\x00\x09"
#: Answers of servers are flat; what is deeper is an attack.
_DEPTH = 16


class _Marker(IntEnum):
    """The byte in front of a value (section 2.1)."""

    NUMBER = 0
    BOOLEAN = 1
    STRING = 2
    OBJECT = 3
    NULL = 5
    UNDEFINED = 6
    ECMA_ARRAY = 8
    STRICT_ARRAY = 10
    DATE = 11
    LONG_STRING = 12
    XML = 15
    TYPED_OBJECT = 16


class EcmaArray(dict[str, Value]):
    """An object that says how many members it has: what `onMetaData` is made of."""


def encode(*values: Value) -> bytes:
    """The values one behind the other."""
    return b"".join(_value(value) for value in values)


def decode(data: bytes) -> list[Value]:
    """All values of a message. Raises ProtocolError."""
    values: list[Value] = []
    at = 0
    try:
        while at < len(data):
            value, at = _read(data, at, 0)
            values.append(value)
    except (IndexError, struct.error):
        raise ProtocolError("AMF0 ends within a value") from None
    return values


def _value(value: Value) -> bytes:
    match value:
        case None:
            return bytes((_Marker.NULL,))
        case bool():
            return bytes((_Marker.BOOLEAN, value))
        case int() | float():
            return struct.pack(">Bd", _Marker.NUMBER, value)
        case str():
            text = value.encode()
            if len(text) > 0xFFFF:
                return struct.pack(">BI", _Marker.LONG_STRING, len(text)) + text
            return bytes((_Marker.STRING,)) + _short(value)
        case EcmaArray():
            return struct.pack(">BI", _Marker.ECMA_ARRAY, len(value)) + _members(value.items()) + _END
        case Mapping():
            return bytes((_Marker.OBJECT,)) + _members(value.items()) + _END
        case list():
            return struct.pack(">BI", _Marker.STRICT_ARRAY, len(value)) + encode(*value)
    raise TypeError(f"{type(value).__name__} is nothing that AMF0 knows")


def _short(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _members(members: Iterable[tuple[str, Value]]) -> bytes:
    return b"".join(_short(name) + _value(value) for name, value in members)


def _read(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth > _DEPTH:
        raise ProtocolError("AMF0 is nested too deeply")
    marker = data[at]
    at += 1
    match marker:
        case _Marker.NUMBER:
            return struct.unpack_from(">d", data, at)[0], at + 8
        case _Marker.BOOLEAN:
            return data[at] != 0, at + 1
        case _Marker.STRING:
            return _read_text(data, at, 2)
        case _Marker.OBJECT:
            return _read_members(data, at, depth)
        case _Marker.NULL | _Marker.UNDEFINED:
            return None, at
        case _Marker.ECMA_ARRAY:
            # Its count is no promise: the end is marked.
            return _read_members(data, at + 4, depth)
        case _Marker.STRICT_ARRAY:
            count = int.from_bytes(data[at : at + 4], "big")
            at += 4
            items: list[Value] = []
            for _ in range(count):
                item, at = _read(data, at, depth + 1)
                items.append(item)
            return items, at
        case _Marker.DATE:
            return struct.unpack_from(">d", data, at)[0], at + 10
        case _Marker.LONG_STRING | _Marker.XML:
            return _read_text(data, at, 4)
        case _Marker.TYPED_OBJECT:
            _, at = _read_text(data, at, 2)
            return _read_members(data, at, depth)
    raise ProtocolError(f"AMF0 has no marker {marker}")


def _read_text(data: bytes, at: int, width: int) -> tuple[str, int]:
    if at + width > len(data):
        raise ProtocolError("AMF0 ends within a value")
    length = int.from_bytes(data[at : at + width], "big")
    at += width
    if at + length > len(data):
        raise ProtocolError("AMF0 ends within a string")
    return data[at : at + length].decode(errors="replace"), at + length


def _read_members(data: bytes, at: int, depth: int) -> tuple[dict[str, Value], int]:
    members: dict[str, Value] = {}
    while data[at : at + 3] != _END:
        name, at = _read_text(data, at, 2)
        members[name], at = _read(data, at, depth + 1)
    return members, at + 3
