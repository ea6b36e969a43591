"""YAML sections as frozen dataclasses: the fields are the keys, their types the checks, and errors name the key.

A field's type is `Annotated` with an `About`: what the key means. So one table gives checks, example and documentation.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pyegress.errors import InvalidRequest

#: Written as `1h30m`, `15s` or `500ms`.
Seconds = NewType("Seconds", float)
UNLIMITED = Seconds(0.0)
#: A section whose keys are not known here.
AnySection = Mapping[str, Any]

#: How every error of a configuration begins.
WRONG = "The configuration is wrong: "

_T = TypeVar("_T")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class About:
    """What a key means. `example` is shown where the default says nothing; `idle`: the key is accepted, and why it has
    no effect; `instead`: a newer name of it."""

    text: str
    example: object = None
    idle: bool = False
    instead: str = ""


def unused(why: str) -> About:
    """A key of LiveKit Egress that has nothing to do here."""
    return About(why, idle=True)


@dataclass(slots=True)
class Findings:
    """What is wrong with a configuration: errors, and warnings as (key, text). `notes` are keys without effect."""

    errors: list[InvalidRequest] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def bad_config(key: str, what: str, remedy: str) -> InvalidRequest:
    """An error of the configuration. `what` must not show a value that may be a secret."""
    return InvalidRequest(f"{WRONG}{key or 'it'} {what}", field=key, remedy=remedy)


def read_section(kind: type[_T], values: object, key: str, findings: Findings) -> _T:
    """A `kind` from a mapping. A value that is wrong is told of and left out; what cannot be at all is raised."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise bad_config(key, "must be a section with keys", "Indent its keys below it")
    known = {name: (option, hint) for name, option, hint, _ in keys_of(cast(type, kind))}
    abouts = {name: about for name, _, _, about in keys_of(cast(type, kind))}
    arguments: dict[str, Any] = {}
    broken = False
    for name, value in values.items():
        where = f"{key}.{name}" if key else str(name)
        if str(name) not in known:
            findings.warnings.append((where, _unknown(where, str(name), known)))
            continue
        option, hint = known[str(name)]
        if value is None:
            continue
        about = abouts[str(name)]
        if about.idle:
            findings.notes.append((where, f"{where} has no effect here: {about.text}"))
        elif about.instead:
            findings.notes.append((where, f"{where} is an older name of {about.instead}"))
        try:
            arguments[option.name] = _value(hint, value, where, findings)
        except InvalidRequest as error:
            if not isinstance(error, _ToldAlready):
                findings.errors.append(error)
            broken = broken or _required(option)
    for name, (option, _) in known.items():
        if _required(option) and option.name not in arguments and not broken:
            raise bad_config(f"{key}.{name}" if key else name, "is missing", f"Set {name}")
    if broken:
        raise _ToldAlready(key)
    return kind(**arguments)


def keys_of(kind: type) -> Iterator[tuple[str, Field[Any], Any, About]]:
    """The keys of a section: name, field, type and meaning."""
    hints, annotated = _hints(kind), _annotated(kind)
    for option in fields(kind):
        if option.init:
            notes = getattr(annotated[option.name], "__metadata__", ())
            about = next((note for note in notes if isinstance(note, About)), About(""))
            yield str(option.metadata.get("key", option.name)), option, bare(hints[option.name]), about


def bare(hint: Any) -> Any:
    """A type without `| None`."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = [member for member in get_args(hint) if member is not NoneType]
    return hint


def parse_seconds(text: str) -> float | None:
    """A duration as Go writes it, in seconds; None when it is none."""
    rest = text.strip()
    if rest == "0":
        return 0.0
    pieces = _PIECE.findall(rest)
    if not pieces or "".join(number + unit for number, unit in pieces) != rest:
        return None
    return float(sum(float(number) * _UNITS[unit] for number, unit in pieces))


class _ToldAlready(InvalidRequest):
    """A section that cannot be, for a reason that is among the findings."""


def _required(option: Field[Any]) -> bool:
    return option.default is MISSING and option.default_factory is MISSING


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _annotated(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _unknown(where: str, name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"The key {where} of the configuration is not known and has no effect; {hint}"


def _value(hint: Any, value: object, key: str, findings: Findings) -> object:
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
        return tuple(_value(member, item, f"{key}[{index}]", findings) for index, item in enumerate(value))
    if is_dataclass(hint) and isinstance(hint, type):
        return read_section(hint, value, key, findings)
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
