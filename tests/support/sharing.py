"""Tests that run beside each other, and those that need the machine for themselves (`pytest -n`, pytest-xdist).

Most of the suite waits in real time, so workers share a machine of few cores well. What measures time closely, or takes
most of the machine, is marked `alone`: it comes last, on one worker, while the others do nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MARKER = "alone"


def put_last(items: list[pytest.Item]) -> None:
    """Sort tests that need the machine behind the others, as one group, which xdist gives to one worker."""
    for item in items:
        if item.get_closest_marker(MARKER):
            item.add_marker(pytest.mark.xdist_group(MARKER))
    items.sort(key=lambda item: item.get_closest_marker(MARKER) is not None)


@contextmanager
def machine(alone: bool) -> Iterator[None]:
    """Hold the machine together with the other workers of this checkout, or `alone`. Blocks."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def workers() -> int:
    """How many workers `-n auto` starts: more than there are cores, because most of them wait."""
    return (os.cpu_count() or 1) + 1
