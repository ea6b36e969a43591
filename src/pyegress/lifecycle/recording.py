"""The life of one recording: one enum, one table of legal moves, one function that moves. Only forward."""

from __future__ import annotations

from enum import Enum


class RecordingState(Enum):
    """Where a recording stands. The words are those of EgressInfo's status where they mean the same."""

    STARTING = "starting"
    #: Joined; the tracks that are wanted are not there yet.
    WAITING = "waiting"
    ACTIVE = "active"
    #: No more media is taken; files are being finished.
    ENDING = "ending"
    COMPLETE = "complete"
    #: Ended before anything was recorded, on request.
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return not _MOVES[self]


_MOVES: dict[RecordingState, frozenset[RecordingState]] = {
    RecordingState.STARTING: frozenset({RecordingState.WAITING, RecordingState.ENDING}),
    RecordingState.WAITING: frozenset({RecordingState.ACTIVE, RecordingState.ENDING}),
    RecordingState.ACTIVE: frozenset({RecordingState.ENDING}),
    RecordingState.ENDING: frozenset({RecordingState.COMPLETE, RecordingState.ABORTED, RecordingState.FAILED}),
    RecordingState.COMPLETE: frozenset(),
    RecordingState.ABORTED: frozenset(),
    RecordingState.FAILED: frozenset(),
}


class EndReason(Enum):
    """Why a recording ended: the wire values of `EgressInfo.details`."""

    STOPPED = "StopEgress API"
    SOURCE_CLOSED = "Source closed"
    LIMIT_REACHED = "Session limit reached"
    STREAMS_STOPPED = "All streams stopped"
    PROCESS_KILLED = "Process killed"
    CPU_EXHAUSTED = "CPU exhausted"
    FAILURE = "Failure"


class IllegalMove(Exception):
    """A move that the table does not have: a bug, never the user's fault."""


def legal(old: RecordingState, new: RecordingState) -> bool:
    """Whether the table has the move."""
    return new in _MOVES[old]


class Lifecycle:
    """The one place that moves a recording's state."""

    __slots__ = ("_state", "moves")

    def __init__(self) -> None:
        self._state = RecordingState.STARTING
        #: What happened, oldest first: (old, new, reason).
        self.moves: list[tuple[RecordingState, RecordingState, str]] = []

    @property
    def state(self) -> RecordingState:
        return self._state

    def move(self, new: RecordingState, reason: str) -> None:
        """Move on; IllegalMove when the table does not have it."""
        if not legal(self._state, new):
            raise IllegalMove(f"{self._state.value} -> {new.value}: {reason}")
        self.moves.append((self._state, new, reason))
        self._state = new
