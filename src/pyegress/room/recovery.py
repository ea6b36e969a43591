"""When a connection is lost: what to try next, how long to wait, and when to give up. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from livekit.protocol.models import ReconnectReason
from livekit.protocol.rtc import LeaveRequest

from pyegress.errors import EgressError, RoomConnectionFailed
from pyegress.room.failures import departure_error, is_final, reason_name

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
_GROWTH = 1.6


@dataclass(frozen=True, slots=True)
class Loss:
    """Why we are not, or no longer, connected."""

    cause: str
    #: Our session at the server is gone, or beyond repair: only a new one helps.
    full: bool = False
    #: What a resume tells the server of its reason.
    reason: ReconnectReason = ReconnectReason.RR_SIGNAL_DISCONNECTED
    error: EgressError | None = None
    #: `DisconnectReason` in lower case: over for good, with `error` unless it ended in order.
    final: str = ""
    #: The attempt after this loss need not wait.
    at_once: bool = False


def loss_of_leave(leave: LeaveRequest, room: str) -> Loss:
    """What a leave request of the server means."""
    name = reason_name(leave.reason)
    if is_final(leave.reason):
        return Loss(f"the server said {name}", final=name, error=departure_error(leave.reason, room))
    if leave.action == LeaveRequest.Action.RESUME:
        return Loss(f"the server asks us to resume ({name})", at_once=True)
    return Loss(f"the server ended our session ({name})", full=True, at_once=True)


def loss_of_error(error: EgressError, *, full: bool) -> Loss:
    """What a failed attempt to come back means: some errors no retry can heal."""
    if error.retryable:
        return Loss(error.message, full=full, error=error)
    return Loss(error.message, final="join_failure", error=error)


def given_up(room: str, after: float, loss: Loss) -> Loss:
    """The end of all attempts."""
    cause = str(loss.error) if loss.error is not None else loss.cause
    remedy = "See whether livekit-server runs and can be reached; recordings go on by themselves if it is back in time"
    error = RoomConnectionFailed(
        f"The connection to room {room!r} was lost and did not come back within {after:.0f} s: {cause}", remedy=remedy
    )
    return Loss(loss.cause, final="connection_timeout", error=error)


def delays() -> Iterator[float]:
    """Seconds to wait before each attempt: at once, then 0.1 s growing to 5 s, give or take a quarter."""
    yield 0.0
    delay = FIRST_DELAY
    while True:
        yield delay * random.uniform(0.75, 1.25)
        delay = min(delay * _GROWTH, LONGEST_DELAY)
