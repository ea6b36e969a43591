"""What follows from a loss."""

from __future__ import annotations

from itertools import pairwise

import pytest
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import LeaveRequest

from pyegress.errors import NotFound, RoomConnectionFailed, Unauthenticated
from pyegress.room.recovery import Attempts, Loss, given_up, loss_of_error, loss_of_leave

pytestmark = pytest.mark.unit

DISCONNECT, RESUME, RECONNECT = (
    LeaveRequest.Action.DISCONNECT,
    LeaveRequest.Action.RESUME,
    LeaveRequest.Action.RECONNECT,
)


@pytest.mark.parametrize(
    ("reason", "action", "full", "final"),
    [
        (DisconnectReason.CONNECTION_TIMEOUT, RESUME, False, ""),
        (DisconnectReason.STATE_MISMATCH, RECONNECT, True, ""),
        # A server that is stopped in order says that we shall go away; its successor has the room all the same.
        (DisconnectReason.SERVER_SHUTDOWN, DISCONNECT, True, ""),
        (DisconnectReason.ROOM_DELETED, DISCONNECT, False, "room_deleted"),
        (DisconnectReason.PARTICIPANT_REMOVED, DISCONNECT, False, "participant_removed"),
        (DisconnectReason.DUPLICATE_IDENTITY, RECONNECT, False, "duplicate_identity"),
    ],
)
def test_leave_requests(reason: DisconnectReason, action: LeaveRequest.Action, full: bool, final: str) -> None:
    loss = loss_of_leave(LeaveRequest(reason=reason, action=action), "stage")
    assert (loss.full, loss.final) == (full, final)
    assert loss.at_once is not bool(final)


def test_a_failed_attempt_is_repeated_unless_our_request_is_wrong() -> None:
    refused = RoomConnectionFailed("Connection refused")
    assert loss_of_error(refused, full=True) == Loss("Connection refused", full=True, error=refused)
    behind_proxy = RoomConnectionFailed("HTTP 404", retryable=False)
    assert not loss_of_error(behind_proxy, full=False).final
    for error in (Unauthenticated("wrong secret"), NotFound("no room")):
        loss = loss_of_error(error, full=True)
        assert loss.final
        assert loss.error is error


def test_giving_up_tells_of_the_last_failure() -> None:
    cause = RoomConnectionFailed("livekit-server at host:1 cannot be reached")
    end = given_up("stage", 61.2, loss_of_error(cause, full=True))
    assert end.final == "connection_timeout"
    assert isinstance(end.error, RoomConnectionFailed)
    assert "'stage'" in end.error.message
    assert "61 s" in end.error.message
    assert "host:1" in end.error.message
    assert end.error.remedy


def test_attempts_begin_at_once_and_back_off() -> None:
    attempts, loss = Attempts(), Loss("gone")
    delays = [attempts.delay(loss) for _ in range(40)]
    assert delays[0] == 0
    assert 0.07 <= delays[1] <= 0.13
    assert all(later < 2.8 * earlier for earlier, later in pairwise(delays[1:]))
    assert all(3.7 <= delay <= 6.3 for delay in delays[12:])
    assert sum(delays[:8]) < 10, "a server that is back after some seconds is found soon"


def test_a_server_that_throws_us_out_again_and_again_is_not_rushed_at() -> None:
    attempts, loss = Attempts(), Loss("go", full=True, at_once=True)
    delays = []
    for _ in range(12):
        attempts.begin(stable=0.5)
        delays.append(attempts.delay(loss))
    assert delays[:3] == [0, 0, 0]
    assert delays[-1] > 3
    attempts.begin(stable=Attempts.STABLE)
    assert attempts.delay(Loss("gone")) == 0
