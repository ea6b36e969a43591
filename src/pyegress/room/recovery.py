"""When a connection is lost: what to try next, how long to wait, and when to give up. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from livekit.protocol.models import ReconnectReason
from livekit.protocol.rtc import LeaveRequest

from pyegress.errors import EgressError, Fault, RoomConnectionFailed
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
    """What a failed attempt to come back means: what is wrong with our request no retry can heal.

    All else may pass: proxies in front of a server that restarts answer with any status.
    """
    if error.retryable or error.fault is Fault.SERVER or isinstance(error, RoomConnectionFailed):
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


class Attempts:
    """How long to wait before each attempt: at once, then 0.1 s growing to 5 s, give or take a quarter."""

    #: Seconds of a good connection after which the count begins anew.
    STABLE = 10.0

    def __init__(self) -> None:
        self._count = 0

    def begin(self, stable: float) -> None:
        """Trouble begins after so many good seconds. A server that throws us out again and again is not rushed at."""
        if stable >= self.STABLE:
            self._count = 0

    def delay(self, loss: Loss) -> float:
        """Seconds to wait before the next attempt."""
        count, self._count = self._count, self._count + 1
        if count == 0 or (loss.at_once and count < 3):
            return 0.0
        # The exponent has a bound: floats overflow.
        grown: float = min(FIRST_DELAY * _GROWTH ** min(count - 1, 100), LONGEST_DELAY)
        return grown * random.uniform(0.75, 1.25)
