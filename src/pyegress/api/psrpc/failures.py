"""Errors of calls over psrpc, in both directions."""

from __future__ import annotations

from pyegress.errors import Code, EgressError, Fault

_BY_WIRE = {code.wire: code for code in Code}
#: psrpc codes for which the error tree has no member of its own.
_NEAREST = {
    "malformed_request": Code.INVALID_ARGUMENT,
    "not_acceptable": Code.INVALID_ARGUMENT,
    "out_of_range": Code.INVALID_ARGUMENT,
    "unprocessable_entity": Code.INVALID_ARGUMENT,
    "upstream_client_error": Code.INVALID_ARGUMENT,
    "aborted": Code.ALREADY_EXISTS,
}
MALFORMED_REQUEST = "malformed_request"


class CallFailed(EgressError):
    """A call over psrpc failed. `wire_code` is the code as it was received or would be sent."""

    code = Code.INTERNAL
    fault = Fault.SERVER

    def __init__(self, message: str, *, wire_code: str, remedy: str = "") -> None:
        code = _BY_WIRE.get(wire_code) or _NEAREST.get(wire_code, Code.INTERNAL)
        super().__init__(message, code=code, remedy=remedy, retryable=code in _RETRYABLE)
        self.wire_code = wire_code


class RedisUnreachable(EgressError):
    """Redis could not be reached, or not in time."""

    code = Code.UNAVAILABLE
    fault = Fault.SERVER
    retryable = True


_RETRYABLE = {Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED}
