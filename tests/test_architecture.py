"""The rules of the house that a program can check: who imports whom, who reads the clock, how modules are named."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "pyegress"
TESTS = ROOT / "tests"

#: Modules that every room may import, and that import each other only.
FOUNDATION = {"clock", "codecs", "errors", "stacks", "process_lines", "process_tree"}
#: Those of them that look at the running program.
IMPURE_FOUNDATION = {"clock", "stacks", "process_lines"}
#: Rooms without I/O and without a clock.
PURE = {"plan", "rtp", "layouts", "lifecycle"}
#: Which rooms a room may import, besides itself and the foundation. Arrows only point upwards.
MAY_IMPORT: dict[str, set[str]] = {
    "plan": set(),
    "rtp": set(),
    "layouts": set(),
    "lifecycle": {"plan"},
    "server": set(),
    # Who joins looks first whether the room is there, and signs tokens.
    "room": {"rtp", "server"},
    # What a request and a configuration say of the browser.
    "browser": {"plan"},
    "media": PURE,
    "outputs": PURE | {"media"},
    # Storages are described by the plan; what is kept of an egress on the disk is its request and its end.
    "storage": {"plan", "lifecycle"},
    "worker": PURE | {"room", "browser", "media", "outputs", "storage"},
    # The supervisor finds in the spool what earlier ones left; workers do what is to be done with it.
    "service": {"plan", "lifecycle", "storage", "server"},
    "api": {"plan", "service", "server"},
}
#: The front of the house imports everything and is imported by nobody.
FRONT = {"cli", "demo"}
#: Rooms in which a package may be imported.
ONLY_IN = {
    "av": {"media", "outputs", "browser", "demo"},
    "obstore": {"storage"},
    "livekit.rtc": {"demo"},
}
#: What a pure room may import from outside the standard library and pyegress.
# google.protobuf is what livekit.protocol is made of.
THIRD_PARTY_OF_PURE = {"plan": {"livekit", "google"}, "lifecycle": {"livekit", "google"}}
IMPURE = (
    *("asyncio", "http", "multiprocessing", "selectors", "signal", "socket", "ssl", "subprocess", "threading", "time"),
    *("urllib.request", "urllib.error"),
)
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
MARKERS = {"unit", "wire", "media", "system"}


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _room(path: Path) -> str:
    """The room of a module of pyegress, or the module's own name when it lies outside of all rooms."""
    inside = path.relative_to(SOURCES)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, at any depth; `from a import b` gives `a.b`."""
    package = path.relative_to(SOURCES.parent).with_suffix("").parts[:-1] if path.is_relative_to(SOURCES) else ()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            origin = ".".join(base + ([node.module] if node.module else []))
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def _where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _last_name(node: ast.expr) -> str:
    """`datetime` of both `datetime` and `datetime.datetime`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _allowed(room: str) -> set[str]:
    if room in FRONT:
        return set(MAY_IMPORT) | FRONT | FOUNDATION
    if room in FOUNDATION:
        return FOUNDATION
    return MAY_IMPORT[room] | {room} | FOUNDATION


def test_every_room_is_in_the_table() -> None:
    rooms = {_room(path) for path in _modules(SOURCES)} - {"__init__", "__main__"}
    assert rooms <= set(MAY_IMPORT) | FRONT | FOUNDATION


def test_arrows_point_upwards() -> None:
    order = list(MAY_IMPORT)
    wrong = [(room, other) for room, others in MAY_IMPORT.items() for other in others if other not in order]
    wrong += [(room, o) for room, others in MAY_IMPORT.items() for o in others if order.index(o) > order.index(room)]
    # The pure rooms serve media and outputs wherever they stand in the table.
    assert wrong == []


def test_rooms_import_only_what_they_may() -> None:
    wrong = []
    for path in _modules(SOURCES):
        room = _room(path)
        if room in {"__init__", "__main__"}:  # the public face of the package
            continue
        for line, name in _imports(path):
            if not name.startswith("pyegress."):
                continue
            other = name.split(".")[1]
            if other not in _allowed(room):
                wrong.append(f"{_where(path, line)}: {room} may not import {name}")
    assert wrong == []


def test_packages_stay_in_their_rooms() -> None:
    wrong = [
        f"{_where(path, line)}: {name} belongs into {', '.join(sorted(rooms))}"
        for path in _modules(SOURCES)
        for line, name in _imports(path)
        for package, rooms in ONLY_IN.items()
        if _within(name, package) and _room(path) not in rooms
    ]
    assert wrong == []


def test_pure_rooms_need_only_the_standard_library_and_do_no_io() -> None:
    wrong = []
    for path in _modules(SOURCES):
        if (room := _room(path)) not in PURE | FOUNDATION - IMPURE_FOUNDATION:
            continue
        outside = THIRD_PARTY_OF_PURE.get(room, set()) | {"pyegress"}
        for line, name in _imports(path):
            top = name.split(".")[0]
            if top in IMPURE or (top not in sys.stdlib_module_names and top not in outside):
                wrong.append(f"{_where(path, line)}: {room} is pure and may not import {name}")
    assert wrong == []


def test_only_the_clock_module_reads_a_clock() -> None:
    wrong = []
    for path in _modules(SOURCES):
        if path == SOURCES / "clock.py":
            continue
        wrong += [f"{_where(path, line)}: {name}" for line, name in _imports(path) if _within(name, "time")]
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Attribute) and f"{_last_name(node.value)}.{node.attr}" in CLOCKS:
                wrong.append(f"{_where(path, node.lineno)}: {ast.unparse(node)}")
    assert wrong == []


def test_module_names_say_what_is_inside() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    named = [*_modules(SOURCES), *_modules(TESTS)]
    assert [str(path.relative_to(ROOT)) for path in named if vague & {path.stem, path.parent.name}] == []


def test_modules_are_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _modules(SOURCES)
        if (lines := path.read_text().count("\n")) > 400
    }
    assert long == {}


def test_nothing_of_the_product_imports_tests() -> None:
    wrong = [_where(p, line) for p in _modules(SOURCES) for line, name in _imports(p) if _within(name, "tests")]
    assert wrong == []


@pytest.mark.parametrize("path", [p for p in _modules(TESTS) if p.name.startswith("test_")], ids=lambda p: str(p.name))
def test_each_test_module_has_one_marker(path: Path) -> None:
    marks = [
        mark.attr
        for node in _tree(path).body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for mark in ast.walk(node.value)
        if isinstance(mark, ast.Attribute) and mark.attr in MARKERS
    ]
    assert len(marks) == 1, f"{path.relative_to(ROOT)} has the markers {marks}, one of {sorted(MARKERS)} is needed"
