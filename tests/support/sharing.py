"""Tests that run beside each other, and those that need the machine for themselves (`pytest -n`, pytest-xdist).

Tests of pure code and of codecs come first: they take all of the machine that they get. System tests follow, beside
each other: most of them wait in real time. What measures time closely, or takes most of the machine, is marked `alone`:
it comes last, on one worker, while the others do nothing.

A test that stands still in native code, where no exception reaches it, is ended with its worker (`faulthandler_timeout`
in pyproject.toml); the other tests of that worker run in a new one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from xdist.scheduler.loadgroup import LoadGroupScheduling
from xdist.workermanage import WorkerController

MARKER = "alone"


def put_in_order(items: list[pytest.Item]) -> None:
    """Sort the tests as the module says; those that are alone become one group, which xdist gives to one worker."""
    for item in items:
        if item.get_closest_marker(MARKER):
            item.add_marker(pytest.mark.xdist_group(MARKER))
    items.sort(key=lambda item: [item.get_closest_marker(name) is not None for name in (MARKER, "system")])


class Scheduling(LoadGroupScheduling):  # type: ignore[misc]
    """xdist's `--dist loadgroup`, with which a run also ends when a worker has ended early.

    There the test that ended a worker would run again, and a worker that comes late would wait for more than it gets.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        """The worker has ended: its other tests go back into the queue. Returns the test that was running."""
        units = self.assigned_work.pop(node)
        left = [(unit, nodeid) for unit in units.values() for nodeid, done in unit.items() if not done]
        if not left:
            return None
        unit: dict[str, bool]
        crashed: str
        unit, crashed = left[0]
        unit[crashed] = True
        self.workqueue.update({scope: unit for scope, unit in units.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return crashed

    def _reschedule(self, node: WorkerController) -> None:
        if node in self.registered_collections:  # else it is still looking for its tests
            super()._reschedule(node)

    def schedule(self) -> None:
        """Also called when a worker has replaced another one."""
        late = self.collection is not None
        super().schedule()
        if late:
            for node in self.nodes:
                self._reschedule(node)


@contextmanager
def machine(alone: bool) -> Iterator[None]:
    """Hold the machine together with the other workers of this checkout, or `alone`. Blocks."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def workers() -> int:
    """How many workers `-n auto` starts: more than there are cores, because most of them wait."""
    return (os.cpu_count() or 1) + 1
