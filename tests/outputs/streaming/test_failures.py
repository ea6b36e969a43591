from __future__ import annotations

import socket
import ssl

import pytest

from pyegress.errors import Code, Fault
from pyegress.outputs.streaming.failures import SOON, connect_failure, lost, without_secrets

pytestmark = pytest.mark.unit

SHOWN = "rtmp://h/a/{abc...xyz}"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), "h cannot be resolved (Name or service not known)"),
        (ConnectionRefusedError(111, "Connect call failed ('10.0.0.1', 1935)"), "nothing listens at h:1935"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9, 0, 0), [Errno 111] Connect call failed"
            ),
            "nothing listens at h:1935",
        ),
        (OSError("Multiple exceptions: [Errno 101] a, [Errno 113] b"), "cannot be reached: No route to host"),
        (TimeoutError(), "h:1935 does not answer"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1)"), "TLS with h:1935 failed"),
    ],
)
def test_why_it_cannot_be_reached(error: OSError, cause: str) -> None:
    failure = connect_failure(SHOWN, "h", 1935, error)
    assert cause in failure.message
    assert failure.message.startswith(f"Streaming to {SHOWN} failed: ")
    assert (failure.code, failure.fault, failure.field) == (Code.UNAVAILABLE, Fault.DESTINATION, SHOWN)
    assert failure.remedy
    assert "10.0.0.1" not in failure.message


def test_how_it_was_lost() -> None:
    assert "closed the connection at once" in lost(SHOWN, None, SOON / 2).message
    assert lost(SHOWN, None, SOON).message.endswith("the server closed the connection")
    reset = ConnectionResetError(104, "Connection reset by peer")
    assert lost(SHOWN, reset, 100.0).message.endswith("the connection was lost: Connection reset by peer")


def test_texts_of_servers_are_short_and_without_keys() -> None:
    said = without_secrets("NetStream.Publish.BadName  stream\nkey?x=1 (key)", "key?x=1", "key", "")
    assert said == "NetStream.Publish.BadName stream {...} ({...})"
    assert len(without_secrets("x" * 1000)) == 300
