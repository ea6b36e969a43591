"""Why a stream cannot be delivered, in words that name the destination without its key, the cause and what to do."""

from __future__ import annotations

import os
import re
import socket
import ssl

from pyegress.errors import Code, Fault, OutputFailed, cause_of
from pyegress.plan.stream_urls import HIDDEN

_NUMBERS = re.compile(r"\[Errno (\d+)\]")
#: Who hangs up so soon, in seconds, did not want us.
SOON = 2.0


def stream_failure(shown: str, cause: str, remedy: str) -> OutputFailed:
    """`shown` is the redacted URL."""
    return OutputFailed(
        f"Streaming to {shown} failed: {cause}",
        field=shown,
        remedy=remedy,
        code=Code.UNAVAILABLE,
        fault=Fault.DESTINATION,
        retryable=True,
    )


def connect_failure(shown: str, host: str, port: int, error: OSError, *, tls: bool = False) -> OutputFailed:
    """The error of a connection that could not be made, over TLS or not."""
    where = f"{host}:{port}"
    if error.errno is None and (numbers := _NUMBERS.findall(str(error))):
        # Every address of the host failed: asyncio puts their errors into one text.
        error = OSError(int(numbers[-1]), os.strerror(int(numbers[-1])))
    match error:
        case socket.gaierror():
            cause = f"the host name {host} cannot be resolved ({error.strerror})"
            return stream_failure(shown, cause, "Check the host in the URL, and that DNS works on this machine")
        case ssl.SSLCertVerificationError():
            cause = f"the TLS certificate of {where} is not accepted: {error.verify_message}"
            return stream_failure(shown, cause, "Check the host in the URL, or give the server a valid certificate")
        case ssl.SSLError():
            cause = f"TLS with {where} failed: {(getattr(error, 'reason', '') or str(error)).replace('_', ' ').lower()}"
            return stream_failure(shown, cause, "Check that this port speaks TLS, or use the scheme without it")
        case TimeoutError():
            cause = f"{where} does not answer{' with TLS' if tls else ''}"
            return stream_failure(shown, cause, "Check host and port, and that no firewall is between")
        case ConnectionRefusedError():
            cause = f"nothing listens at {where} (connection refused)"
            return stream_failure(shown, cause, "Check host and port, and that the server runs")
    return stream_failure(shown, f"{where} cannot be reached: {cause_of(error)}", "Check host and port")


def lost(shown: str, error: OSError | None, after: float) -> OutputFailed:
    """The error of a connection that ended while media went over it, `after` so many seconds.

    Without an `error` it was closed in order.
    """
    if after < SOON:
        cause = "the server accepted the stream, and closed the connection at once"
        return stream_failure(shown, cause, "Check the key in the URL, and what the server says of it")
    cause = f"the connection was lost: {cause_of(error)}" if error is not None else "the server closed the connection"
    return stream_failure(shown, cause, "See the server's log")


def stalled(shown: str, seconds: float) -> OutputFailed:
    """The error of a receiver that keeps the connection and takes nothing."""
    return stream_failure(shown, f"the server has taken no data for {seconds:g} s", "Check the server and the network")


def without_secrets(text: str, *secrets: str) -> str:
    """A server's text as one short line; servers repeat the keys that they refuse."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return " ".join(text.split())[:300]
