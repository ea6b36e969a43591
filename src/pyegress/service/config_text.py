"""The YAML text of a configuration: its values, and the line of each key."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from pyegress.errors import InvalidRequest
from pyegress.service.config_reader import bad_config


def parse_yaml(text: str) -> object:
    """The values of a text. Raises InvalidRequest with the line where it is no YAML, or where a key is there twice."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        doubled = _doubled(root, "") if root is not None else None
        values: object = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise bad_config("", f"is no YAML: {problem}{where}", "Check indentation and quotation marks there") from None
    if doubled is not None:
        key, line = doubled
        raise bad_config(key, f"is there twice, again in line {line}", "Keep one of them")
    return values


def lines_of(text: str) -> dict[str, int]:
    """The line of each key, from 1; keys as in `storage.s3.bucket` and `auto_egress[0].record`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return {}
    return dict(_walk(root, "")) if root is not None else {}


def line_of(error: InvalidRequest, lines: dict[str, int]) -> int | None:
    """The line that an error is about: that of its key, else that of the section which should have it."""
    key = error.field
    while key:
        if key in lines:
            return lines[key]
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return None


def _walk(node: yaml.Node, path: str, above: frozenset[int] = frozenset()) -> Iterator[tuple[str, int]]:
    if id(node) in above:  # an alias of a section that it stands in
        return
    above |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = f"{path}.{key.value}" if path else str(key.value)
            yield where, key.start_mark.line + 1
            yield from _walk(value, where, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            where = f"{path}[{index}]"
            yield where, item.start_mark.line + 1
            yield from _walk(item, where, above)


def _doubled(node: yaml.Node, path: str) -> tuple[str, int] | None:
    """A key that is twice in its section: YAML would silently take the last."""
    seen: set[str] = set()
    for where, line in _walk(node, path):
        if where in seen:
            return where, line
        seen.add(where)
    return None
