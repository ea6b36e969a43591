"""The keys of the configuration as an example file and as documentation, made from the one table of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, is_dataclass
from typing import Any, get_args, get_origin

from pyegress.service.config import ServiceConfig
from pyegress.service.config_reader import About, AnySection, Seconds, keys_of

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Seconds: "duration"}
#: What a service cannot do without; everything else is commented out in the example.
_NEEDED = ("ws_url", "api_key", "api_secret")
_RULES = """\
auto_egress:
  - record: room               # room, participant or track
    rooms: "*"                 # pattern of room names
    request:
      file_outputs: [{filepath: "{room_name}-{time}.mp4"}]
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `path` as in `storage.s3.bucket`, `kind` in words, `default` as YAML, "" for none."""

    path: str
    kind: str
    default: str
    about: About
    section: bool

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def depth(self) -> int:
        return self.path.count(".")


def all_keys(kind: type = ServiceConfig, prefix: str = "") -> Iterator[Key]:
    """Every key, in the order of the tables, sections before what is in them."""
    for name, option, hint, about in keys_of(kind):
        path = f"{prefix}{name}"
        inner = isinstance(hint, type) and is_dataclass(hint)
        yield Key(path, _kind(hint), "" if inner else _default(option, hint), about, inner)
        # Twins are told of once.
        if inner and not about.idle and not about.instead and path != "backup":
            yield from all_keys(hint, f"{path}.")
        elif get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
            yield from all_keys(get_args(hint)[0], f"{path}[].")


def example() -> str:
    """A configuration in YAML that can be used when the first three values are right: all else is a comment."""
    lines = [
        "# The configuration of `pyegress serve --config FILE`. Keys with a # show their default or an",
        "# example; take the # away to set them. `pyegress config check FILE` says what is wrong.",
        "",
    ]
    inside = False
    for key in all_keys():
        if key.about.idle or key.about.instead or "[]" in key.path:
            continue
        if not key.depth and (key.section or inside):
            lines.append("")
        inside = key.section or key.path == "auto_egress" or key.depth > 0
        if key.path == "auto_egress":
            lines += [f"# {key.about.text}", *(f"# {line}" for line in _RULES.splitlines())]
            continue
        mark = "" if key.path in _NEEDED else "# "
        value = "" if key.section else f" {_shown(key)}"
        text = f"{mark}{'  ' * key.depth}{key.name}:{value}"
        lines.append(f"{text:<50} # {key.about.text}" if key.about.text else text)
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """The page docs/configuration.md."""
    used = [key for key in all_keys() if not (key.about.idle or key.about.instead)]
    older = [key for key in all_keys() if key.about.instead]
    idle = [key for key in all_keys() if key.about.idle]
    lines = [
        "# Configuration",
        "",
        "Every key of `pyegress serve --config FILE`. `pyegress config example` prints them as a commented file, "
        "`pyegress config check FILE` says what is wrong with one, and `pyegress config keys` prints this page.",
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
        *(f"| `{key.path}` | {key.kind} | {_code(key.default)} | {_cell(key.about.text)} |" for key in used),
        "",
        "`backup` has the keys of `storage`. Durations are written as `15s`, `500ms` or `1h30m`. "
        "[egress-api.md](egress-api.md) describes the rules of `auto_egress`.",
        "",
        "## Other names",
        *(f"* `{key.path}` is `{key.about.instead}`" for key in older),
        "",
        "## Accepted without effect",
        "Keys of LiveKit Egress that have nothing to do here, so that its files can be taken as they are. "
        "`config check` names those that are set.",
        "",
        "| key | why |",
        "|---|---|",
        *(f"| `{key.path}` | {_cell(key.about.text)} |" for key in idle),
    ]
    return "\n".join(lines) + "\n"


def _kind(hint: Any) -> str:
    if hint == AnySection:
        return "section"
    if get_origin(hint) is tuple:
        return "list"
    if isinstance(hint, type) and is_dataclass(hint):
        return "section"
    return _WORDS[hint]


def _default(option: Field[Any], hint: Any) -> str:
    value = option.default
    if value is MISSING and option.default_factory is not MISSING:
        value = option.default_factory()
    if value is MISSING or value is None:
        return ""
    if hint is Seconds:
        return _duration(float(value))
    return json.dumps(dict(value) if isinstance(value, Mapping) else value)


def _shown(key: Key) -> str:
    """The example of a key, else its default."""
    example = key.about.example
    if example is None:
        return key.default or '""'
    return str(example) if key.kind == "duration" else json.dumps(example)


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}h" if whole and whole % 3600 == 0 else f"{seconds:g}s"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
