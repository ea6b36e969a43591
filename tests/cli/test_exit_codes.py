from __future__ import annotations

import pytest

from pyegress.cli import exit_codes
from pyegress.cli.exit_codes import ExitCode
from pyegress.errors import (
    Code,
    EgressError,
    Fault,
    InvalidRequest,
    NotFound,
    OutputFailed,
    RoomConnectionFailed,
    Unauthenticated,
)
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.worker.progress import RecordingResult

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("x"), ExitCode.USAGE),
        (InvalidRequest("x", code=Code.UNIMPLEMENTED), ExitCode.USAGE),
        (NotFound("x"), ExitCode.NOT_FOUND),
        (Unauthenticated("x"), ExitCode.REFUSED),
        (Unauthenticated("x", code=Code.PERMISSION_DENIED), ExitCode.REFUSED),
        (RoomConnectionFailed("x"), ExitCode.CONNECTION),
        (OutputFailed("x"), ExitCode.OUTPUT),
        (OutputFailed("x", code=Code.RESOURCE_EXHAUSTED), ExitCode.OUTPUT),
        (OutputFailed("x", code=Code.ALREADY_EXISTS), ExitCode.OUTPUT),
        (OutputFailed("x", fault=Fault.CALLER), ExitCode.USAGE),
        (OutputFailed("x", code=Code.INTERNAL, fault=Fault.OURS), ExitCode.INTERNAL),
        (EgressError("x"), ExitCode.INTERNAL),
    ],
)
def test_the_code_of_an_error(error: EgressError, code: ExitCode) -> None:
    assert exit_codes.of_error(error) is code


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        (RecordingState.COMPLETE, None, ExitCode.OK),
        (RecordingState.ABORTED, None, ExitCode.NOTHING_RECORDED),
        (RecordingState.FAILED, NotFound("x"), ExitCode.NOT_FOUND),
    ],
)
def test_the_code_of_a_result(state: RecordingState, error: EgressError | None, code: ExitCode) -> None:
    result = RecordingResult(state, EndReason.STOPPED, (), None, 0.0, "r", "RM_1", error)
    assert exit_codes.of_result(result) is code


def test_every_code_is_explained() -> None:
    assert set(exit_codes.EXPLAINED) == set(ExitCode)
    for code in ExitCode:
        assert f"{code.value}  {exit_codes.EXPLAINED[code]}" in exit_codes.table()
