"""Tests that run beside each other, and those that need the machine for themselves (`pytest -n`, pytest-xdist).

Tests of pure code and of codecs come first: they take all of the machine that they get. System tests follow, beside
each other: most of them wait in real time. What measures time closely, or takes most of the machine, is marked `alone`:
it comes last, on one worker, while the others do nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MARKER = "alone"


def put_in_order(items: list[pytest.Item]) -> None:
    """Sort the tests as the module says; those that are alone become one group, which xdist gives to one worker."""
    for item in items:
        if item.get_closest_marker(MARKER):
            item.add_marker(pytest.mark.xdist_group(MARKER))
    items.sort(key=lambda item: [item.get_closest_marker(name) is not None for name in (MARKER, "system")])


@contextmanager
def machine(alone: bool) -> Iterator[None]:
    """Hold the machine together with the other workers of this checkout, or `alone`. Blocks."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def workers() -> int:
    """How many workers `-n auto` starts: more than there are cores, because most of them wait."""
    return (os.cpu_count() or 1) + 1
