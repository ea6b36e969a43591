"""The life of one egress as clients see it: one enum, one table of legal moves, one function that moves. Pure.

Every move makes the `livekit.EgressInfo` that is told to the server, to webhooks and to whoever asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum

from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.lifecycle.outcome import Outcome, StreamOutcome
from pyegress.lifecycle.recording import EndReason, IllegalMove
from pyegress.lifecycle.results import write_results, write_streams
from pyegress.plan.egress_info import nanoseconds


class EgressStatus(Enum):
    """`livekit.EgressStatus`, by number."""

    STARTING = 0
    ACTIVE = 1
    ENDING = 2
    COMPLETE = 3
    FAILED = 4
    ABORTED = 5
    LIMIT_REACHED = 6

    @property
    def final(self) -> bool:
        return not _MOVES[self]


_MOVES: dict[EgressStatus, frozenset[EgressStatus]] = {
    EgressStatus.STARTING: frozenset({EgressStatus.ACTIVE, EgressStatus.ABORTED, EgressStatus.FAILED}),
    EgressStatus.ACTIVE: frozenset({EgressStatus.ENDING, EgressStatus.LIMIT_REACHED, EgressStatus.FAILED}),
    # Aborted: media came, but none of it could be kept, for instance no key frame.
    EgressStatus.ENDING: frozenset({EgressStatus.COMPLETE, EgressStatus.ABORTED, EgressStatus.FAILED}),
    EgressStatus.COMPLETE: frozenset(),
    EgressStatus.FAILED: frozenset(),
    EgressStatus.ABORTED: frozenset(),
    EgressStatus.LIMIT_REACHED: frozenset(),
}

#: Words of `EgressInfo.error` that clients compare, with the number that goes with them (HTTP's 413 is no code).
STOPPED_BEFORE_START = ("Stop called before pipeline could start", 412)
LIMIT_BEFORE_START = ("Session limit reached before start signal", 412)
LIMIT_REACHED = ("Session limit reached", 413)
_END_REASON = "End reason: "


def status_of(info: pb.EgressInfo) -> EgressStatus:
    """The status of an info."""
    return EgressStatus(int(info.status))


def legal(old: EgressStatus, new: EgressStatus) -> bool:
    """Whether the table has the move."""
    return new in _MOVES[old]


def route(old: EgressStatus, new: EgressStatus) -> tuple[EgressStatus, ...]:
    """The shortest way of legal moves from `old` to `new`, without `old`; IllegalMove when there is none."""
    ways: deque[tuple[EgressStatus, ...]] = deque([(old,)])
    while ways:
        way = ways.popleft()
        if way[-1] is new:
            return way[1:]
        ways.extend((*way, step) for step in sorted(_MOVES[way[-1]], key=lambda status: status.value))
    raise IllegalMove(f"{old.name} -> {new.name}")


def move(
    info: pb.EgressInfo,
    new: EgressStatus,
    at: Wall,
    *,
    reason: EndReason | None = None,
    error: tuple[str, int] | None = None,
    made: Outcome | None = None,
) -> pb.EgressInfo:
    """The info after a move; IllegalMove when the table does not have it.

    `error` is text and number; a reason that was told before is kept; `made` has the results.
    """
    old = status_of(info)
    if not legal(old, new):
        raise IllegalMove(f"{old.name} -> {new.name}: {reason.value if reason else ''}")
    moved = _changed(info, at)
    moved.status = new.value  # type: ignore[assignment]
    if reason is None:
        moved.details = ""
    elif not moved.details.startswith(_END_REASON):
        moved.details = _END_REASON + reason.value
    if error is not None:
        moved.error, moved.error_code = error
    if new.final:
        moved.ended_at = moved.updated_at
    if made is not None:
        write_results(moved, made)
        if made.note:
            moved.details = f"{moved.details}; {made.note}"
    return moved


def explain(info: pb.EgressInfo, details: str, at: Wall) -> pb.EgressInfo:
    """The info with other details and the same status: what a start waits for."""
    explained = _changed(info, at)
    explained.details = details
    return explained


def wait_on(info: pb.EgressInfo, why: str, at: Wall) -> pb.EgressInfo:
    """The info of an egress that has ended but for `why`: what is recorded is not where it belongs yet."""
    reason = info.details.partition("; ")[0]
    return explain(info, f"{reason}; {why}" if reason.startswith(_END_REASON) else why, at)


def amend(info: pb.EgressInfo, made: Outcome, at: Wall) -> pb.EgressInfo:
    """The info of an egress that has ended, with results that came after its end; the status stays."""
    amended = _changed(info, at)
    write_results(amended, made)
    if made.note and made.note not in amended.details:
        amended.details = f"{amended.details}; {made.note}"
    return amended


def report_streams(info: pb.EgressInfo, streams: Sequence[StreamOutcome], at: Wall) -> pb.EgressInfo:
    """The info with other stream results and the same status."""
    reported = _changed(info, at)
    write_streams(reported, streams)
    return reported


def conclude(info: pb.EgressInfo, outcome: Outcome, at: Wall) -> list[pb.EgressInfo]:
    """Every info from `info` to the final status that `outcome` means, none skipped. Empty when it is final already."""
    old = status_of(info)
    if old.final:
        return []
    new, error = _end(outcome)
    reason = EndReason.FAILURE if new is EgressStatus.FAILED else outcome.reason
    way = route(old, new)
    infos = []
    for status in way[:-1]:
        info = move(info, status, at, reason=outcome.reason if status is EgressStatus.ENDING else None)
        infos.append(info)
    return [*infos, move(info, way[-1], at, reason=reason, error=error, made=outcome)]


def _end(outcome: Outcome) -> tuple[EgressStatus, tuple[str, int] | None]:
    limit = outcome.reason is EndReason.LIMIT_REACHED
    if outcome.error is not None:
        return EgressStatus.FAILED, (str(outcome.error.as_error()), outcome.error.code.http)
    if not outcome.made:
        return EgressStatus.ABORTED, LIMIT_BEFORE_START if limit else STOPPED_BEFORE_START
    return (EgressStatus.LIMIT_REACHED, LIMIT_REACHED) if limit else (EgressStatus.COMPLETE, None)


def _changed(info: pb.EgressInfo, at: Wall) -> pb.EgressInfo:
    changed = pb.EgressInfo()
    changed.CopyFrom(info)
    # A clock that is set back must not let a newer info look older.
    changed.updated_at = max(nanoseconds(at), info.updated_at + 1)
    return changed
