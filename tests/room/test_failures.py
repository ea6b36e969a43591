"""The server's words as errors."""

from __future__ import annotations

import pytest
from livekit.protocol.models import DisconnectReason, SubscriptionError
from livekit.protocol.rtc import SubscriptionResponse

from pyegress.errors import Code, EgressError, Fault, InvalidRequest, NotFound, RoomConnectionFailed, Unauthenticated
from pyegress.room.failures import (
    departure_error,
    is_final,
    reason_name,
    redacted,
    refused,
    subscription_error,
    unreachable,
)

pytestmark = pytest.mark.unit

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJBUEkifQ.8bn_-0aA"


@pytest.mark.parametrize(
    ("status", "text", "kind", "code", "retryable"),
    [
        (401, "invalid API key: APIx", Unauthenticated, Code.UNAUTHENTICATED, False),
        (403, "no permission", Unauthenticated, Code.PERMISSION_DENIED, False),
        (404, "requested room does not exist", NotFound, Code.NOT_FOUND, False),
        (404, "404 page not found", RoomConnectionFailed, Code.UNAVAILABLE, False),
        (400, "no room name", InvalidRequest, Code.INVALID_ARGUMENT, False),
        (503, "node limits", RoomConnectionFailed, Code.UNAVAILABLE, True),
        (500, "could not start", RoomConnectionFailed, Code.UNAVAILABLE, True),
        (200, "", RoomConnectionFailed, Code.UNAVAILABLE, False),
    ],
)
def test_http_answers(status: int, text: str, kind: type[EgressError], code: Code, retryable: bool) -> None:
    error = refused(status, text, "example.com:443", "stage")
    assert type(error) is kind
    assert (error.code, error.retryable) == (code, retryable)
    assert "example.com:443" in error.message
    assert text in error.message
    assert error.field


def test_tokens_in_the_server_s_text_are_not_repeated() -> None:
    text = f"invalid token: {TOKEN}, error: go-jose/go-jose: error in cryptographic primitive\n"
    assert redacted(text) == "invalid token: (token), error: go-jose/go-jose: error in cryptographic primitive"
    assert "eyJ" not in str(refused(401, text, "host:1", "stage"))
    assert len(redacted("x" * 9999)) == 300


def test_unreachable_names_the_server_and_the_cause() -> None:
    error = unreachable("host:7880", "Connection refused")
    assert error.message == "livekit-server at host:7880 cannot be reached: Connection refused"
    assert error.retryable
    assert error.remedy


def test_reason_names() -> None:
    assert reason_name(DisconnectReason.ROOM_DELETED) == "room_deleted"
    assert reason_name(99) == "reason_99"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "final", "orderly"),
    [
        (DisconnectReason.ROOM_DELETED, True, True),
        (DisconnectReason.ROOM_CLOSED, True, True),
        (DisconnectReason.CLIENT_INITIATED, True, True),
        (DisconnectReason.PARTICIPANT_REMOVED, True, False),
        (DisconnectReason.DUPLICATE_IDENTITY, True, False),
        (DisconnectReason.SERVER_SHUTDOWN, False, False),
        (DisconnectReason.STATE_MISMATCH, False, False),
        (DisconnectReason.MIGRATION, False, False),
        (DisconnectReason.CONNECTION_TIMEOUT, False, False),
        (DisconnectReason.UNKNOWN_REASON, False, False),
    ],
)
def test_which_reasons_end_a_recording(reason: DisconnectReason, final: bool, orderly: bool) -> None:
    assert is_final(reason) is final
    error = departure_error(reason, "stage")
    assert (error is None) is orderly
    if error is not None:
        assert "stage" in error.message
        assert not error.retryable


def test_tracks_that_the_server_does_not_send() -> None:
    response = SubscriptionResponse(track_sid="TR_1", err=SubscriptionError.SE_CODEC_UNSUPPORTED)
    error = subscription_error(response, "video/x", "stage")
    assert "video/x" in error.message
    assert (error.fault, error.retryable) == (Fault.CALLER, False)
    response.err = SubscriptionError.SE_TRACK_NOTFOUND
    assert isinstance(subscription_error(response, "", "stage"), NotFound)
    response.err = SubscriptionError.SE_UNKNOWN
    assert subscription_error(response, "", "stage").retryable
