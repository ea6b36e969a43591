"""Errors of calls over psrpc, in both directions."""

from __future__ import annotations

from pyegress.errors import Code, EgressError, Fault

MALFORMED_REQUEST = "malformed_request"


class CallFailed(EgressError):
    """A call over psrpc failed. `wire_code` is the code as it was received or would be sent."""

    code = Code.INTERNAL
    fault = Fault.SERVER

    def __init__(self, message: str, *, wire_code: str, remedy: str = "") -> None:
        code = Code.of_wire(wire_code)
        super().__init__(message, code=code, remedy=remedy, retryable=code.passing)
        self.wire_code = wire_code


class RedisUnreachable(EgressError):
    """Redis could not be reached, or not in time."""

    code = Code.UNAVAILABLE
    fault = Fault.SERVER
    retryable = True
