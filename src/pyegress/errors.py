"""The error tree: every error says whose fault it is, whether a retry helps, what was wrong and what to do."""

from __future__ import annotations

import os
from enum import Enum


class Code(Enum):
    """psrpc error codes and the HTTP numbers that `EgressInfo.error_code` carries for them."""

    INVALID_ARGUMENT = ("invalid_argument", 400)
    UNAUTHENTICATED = ("unauthenticated", 401)
    PERMISSION_DENIED = ("permission_denied", 403)
    NOT_FOUND = ("not_found", 404)
    ALREADY_EXISTS = ("already_exists", 409)
    FAILED_PRECONDITION = ("failed_precondition", 412)
    RESOURCE_EXHAUSTED = ("resource_exhausted", 429)
    INTERNAL = ("internal", 500)
    UNIMPLEMENTED = ("unimplemented", 501)
    UNAVAILABLE = ("unavailable", 503)
    CANCELED = ("canceled", 503)
    DEADLINE_EXCEEDED = ("deadline_exceeded", 503)

    @property
    def wire(self) -> str:
        """The string of psrpc's `Response.code`."""
        return self.value[0]

    @property
    def http(self) -> int:
        """The number of `EgressInfo.error_code`."""
        return self.value[1]

    @classmethod
    def of_wire(cls, name: str) -> Code:
        """The code of a name that psrpc or Twirp uses: the nearest one where there is no such member."""
        return next((code for code in cls if code.wire == name), _NEAREST.get(name, cls.INTERNAL))

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self in (Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)


#: Names of psrpc and Twirp for which there is no member.
_NEAREST = {
    "malformed": Code.INVALID_ARGUMENT,
    "malformed_request": Code.INVALID_ARGUMENT,
    "not_acceptable": Code.INVALID_ARGUMENT,
    "out_of_range": Code.INVALID_ARGUMENT,
    "unprocessable_entity": Code.INVALID_ARGUMENT,
    "upstream_client_error": Code.INVALID_ARGUMENT,
    "aborted": Code.ALREADY_EXISTS,
    "bad_route": Code.UNIMPLEMENTED,
}


class Fault(Enum):
    """Who has to act."""

    CALLER = "caller"
    DESTINATION = "destination"
    SERVER = "server"
    OURS = "ours"


class EgressError(Exception):
    """Base of every error that pyegress raises on purpose.

    `field` names the request field, option or URL concerned (secrets redacted); `remedy` is one sentence that says
    what to do. `str()` gives message and remedy.
    """

    code: Code = Code.INTERNAL
    fault: Fault = Fault.OURS
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        field: str = "",
        code: Code | None = None,
        fault: Fault | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field
        if code is not None:
            self.code = code
        if fault is not None:
            self.fault = fault
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class InvalidRequest(EgressError):
    """A missing or bad request field, option or argument."""

    code = Code.INVALID_ARGUMENT
    fault = Fault.CALLER


class NotFound(EgressError):
    """A room, participant or track that is not there."""

    code = Code.NOT_FOUND
    fault = Fault.CALLER


class Unauthenticated(EgressError):
    """The server refused our key, secret or token."""

    code = Code.UNAUTHENTICATED
    fault = Fault.CALLER


class RoomConnectionFailed(EgressError):
    """The room could not be joined, or the connection to it is lost for good."""

    code = Code.UNAVAILABLE
    fault = Fault.SERVER
    retryable = True


class OutputFailed(EgressError):
    """A destination (disk, bucket, stream server) refused data."""

    code = Code.INVALID_ARGUMENT
    fault = Fault.DESTINATION


def cause_of(error: OSError) -> str:
    """What the operating system says, without the addresses that asyncio puts in its place."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or str(error)
