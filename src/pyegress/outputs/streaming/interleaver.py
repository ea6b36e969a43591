"""Brings packets of two encoders' threads into the order of their time. Pure."""

from __future__ import annotations

from collections import deque

from pyegress.codecs import Kind
from pyegress.outputs.streaming.unit import Unit

#: How long one kind waits for the other before it goes on alone, seconds of media.
PATIENCE = 0.3


class Interleaver:
    """Each kind comes in order; units come out in order of all."""

    def __init__(self, kinds: frozenset[Kind]) -> None:
        self._waiting: dict[Kind, deque[Unit]] = {kind: deque() for kind in kinds}

    def push(self, unit: Unit) -> list[Unit]:
        """Take the next unit of a kind; give those that nothing can come before any more."""
        self._waiting[unit.kind].append(unit)
        units: list[Unit] = []
        while (first := self._first(unit.seconds)) is not None:
            units.append(first.popleft())
        return units

    def flush(self) -> list[Unit]:
        """What is left."""
        left = sorted((unit for waiting in self._waiting.values() for unit in waiting), key=lambda unit: unit.seconds)
        for waiting in self._waiting.values():
            waiting.clear()
        return left

    def _first(self, newest: float) -> deque[Unit] | None:
        heads = [waiting for waiting in self._waiting.values() if waiting]
        if not heads:
            return None
        first = min(heads, key=lambda waiting: waiting[0].seconds)
        complete = len(heads) == len(self._waiting)
        return first if complete or newest - first[0].seconds > PATIENCE else None
