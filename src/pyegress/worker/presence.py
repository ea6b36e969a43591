"""Whether anybody is in the room, and since when not: pure, told who comes and goes."""

from __future__ import annotations

from pyegress.clock import Monotonic
from pyegress.room.events import Participant
from pyegress.worker.choice import counts


class Presence:
    """Knows those who count; egress, recorders and agents keep no room open.

    A room in which nobody has been yet is not empty: there is nothing to leave out.
    """

    def __init__(self) -> None:
        self._there: set[str] = set()
        self.empty_since: Monotonic | None = None

    def there(self, participant: Participant) -> bool:
        """Somebody is there, perhaps with another kind than before; whether the room was empty until now."""
        if not counts(participant):
            return False
        self._there.add(participant.identity)
        was_empty = self.empty_since is not None
        self.empty_since = None
        return was_empty

    def left(self, participant: Participant, at: Monotonic) -> bool:
        """Somebody left; whether the room is empty now."""
        if participant.identity not in self._there:
            return False
        self._there.discard(participant.identity)
        if self._there:
            return False
        self.empty_since = at
        return True
