"""Exit codes of the command line: the one table, which `--help` and the docs show."""

from __future__ import annotations

from enum import IntEnum

from pyegress.errors import Code, EgressError, Fault
from pyegress.lifecycle.recording import RecordingState
from pyegress.worker.progress import RecordingResult


class ExitCode(IntEnum):
    """What the shell gets. What was recorded before an error is finished and kept, whatever the code."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    NOTHING_RECORDED = 3
    NOT_FOUND = 4
    REFUSED = 5
    CONNECTION = 6
    OUTPUT = 7


EXPLAINED = {
    ExitCode.OK: "done; a recording ended in order: by the source, --duration, Ctrl-C or SIGTERM",
    ExitCode.INTERNAL: "an error of pyegress itself, or of the service that was asked",
    ExitCode.USAGE: "a bad option, argument or request, a codec that does not fit the container, hardware that is not "
    "there, an ended egress",
    ExitCode.NOTHING_RECORDED: "stopped before any media came",
    ExitCode.NOT_FOUND: "room, participant or track not found within --wait seconds; no such egress",
    ExitCode.REFUSED: "the server refused the key, secret or token",
    ExitCode.CONNECTION: "server not reachable or too busy, media blocked, or the connection lost for good",
    ExitCode.OUTPUT: "the file cannot be written (path, permission, disk full) or uploaded",
}

_BY_CODE = {
    Code.NOT_FOUND: ExitCode.NOT_FOUND,
    Code.UNAUTHENTICATED: ExitCode.REFUSED,
    Code.PERMISSION_DENIED: ExitCode.REFUSED,
    Code.UNAVAILABLE: ExitCode.CONNECTION,
    Code.RESOURCE_EXHAUSTED: ExitCode.CONNECTION,
    Code.DEADLINE_EXCEEDED: ExitCode.CONNECTION,
    Code.CANCELED: ExitCode.CONNECTION,
    # What an option asks for and this machine does not have.
    Code.FAILED_PRECONDITION: ExitCode.USAGE,
}


def of_error(error: EgressError) -> ExitCode:
    """The exit code of an error."""
    if error.fault is Fault.DESTINATION:
        return ExitCode.OUTPUT
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    return ExitCode.USAGE if error.fault is Fault.CALLER else ExitCode.INTERNAL


def of_result(result: RecordingResult) -> ExitCode:
    """The exit code of a recording."""
    if result.error is not None:
        return of_error(result.error)
    return ExitCode.NOTHING_RECORDED if result.state is RecordingState.ABORTED else ExitCode.OK


def table() -> str:
    """The codes as text for `--help`."""
    return "\n".join(f"{code.value}  {text}" for code, text in EXPLAINED.items())
