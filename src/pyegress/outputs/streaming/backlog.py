"""What waits for one destination: bounded, and whoever falls behind loses whole stretches up to a new start. Pure."""

from __future__ import annotations

from collections import deque

from pyegress.outputs.streaming.unit import Unit


class Backlog:
    """A queue of at most `seconds` of media and `size` bytes that begins with a start."""

    def __init__(self, seconds: float, size: int = 64 * 1024 * 1024) -> None:
        self._seconds = seconds
        self._size = size
        self._units: deque[Unit] = deque()
        self._bytes = 0
        self._waits_for_start = True
        #: Units that were left out because the destination was too slow.
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._units)

    @property
    def starved(self) -> bool:
        """Whether nothing is taken before the next start."""
        return self._waits_for_start

    def push(self, unit: Unit) -> None:
        """Take a unit; when there is no room, everything goes that waits, up to a later start."""
        if self._waits_for_start and not unit.start:
            return
        self._waits_for_start = False
        self._units.append(unit)
        self._bytes += len(unit.payload)
        while self._units and self._too_long():
            self._shorten()

    def take(self) -> list[Unit]:
        """Everything that waits."""
        units = list(self._units)
        self._units.clear()
        self._bytes = 0
        return units

    def restart(self) -> None:
        """Forget what waits; the next unit is a start."""
        self.take()
        self._waits_for_start = True

    def _too_long(self) -> bool:
        return self._units[-1].seconds - self._units[0].seconds > self._seconds or self._bytes > self._size

    def _shorten(self) -> None:
        """Leave out the oldest up to the next start."""
        self._drop()
        while self._units and not self._units[0].start:
            self._drop()
        self._waits_for_start = not self._units

    def _drop(self) -> None:
        self._bytes -= len(self._units.popleft().payload)
        self.dropped += 1
