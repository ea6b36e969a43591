from __future__ import annotations

from itertools import pairwise, product

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.errors import Code, EgressError
from pyegress.lifecycle.egress import EgressStatus, conclude, explain, legal, move, route, status_of
from pyegress.lifecycle.outcome import Failure, FileOutcome, Outcome
from pyegress.lifecycle.recording import EndReason, IllegalMove
from pyegress.plan.egress_info import starting_info
from tests.plan.requests import FILE, NOW, planned, room

pytestmark = pytest.mark.unit

S = EgressStatus
LATER = Wall(NOW + 60.0)
MADE = FileOutcome("a.mp4", "/out/a.mp4", 1234, Wall(NOW + 1.5), 12.25)


def starting() -> pb.EgressInfo:
    request = room(FILE)
    return starting_info(planned(request), request)


def at(status: EgressStatus) -> pb.EgressInfo:
    info = starting()
    for step in route(S.STARTING, status):
        info = move(info, step, Wall(NOW + 1.0))
    return info


def test_numbers_are_those_of_the_protocol() -> None:
    for status in S:
        assert pb.EgressStatus.Value(f"EGRESS_{status.name}") == status.value


def test_only_forward() -> None:
    assert [status for status in S if status.final] == [S.COMPLETE, S.FAILED, S.ABORTED, S.LIMIT_REACHED]
    for old, new in product(S, S):
        if legal(old, new):
            assert not legal(new, old)
            assert status_of(move(at(old), new, LATER)) is new
        else:
            with pytest.raises(IllegalMove):
                move(at(old), new, LATER)


def test_a_move_leaves_the_former_info_alone() -> None:
    info = starting()
    moved = move(info, S.ACTIVE, LATER)
    assert status_of(info) is S.STARTING
    assert moved.started_at == info.started_at
    assert moved.updated_at > info.updated_at
    assert moved.ended_at == 0


def test_a_clock_that_is_set_back() -> None:
    info = starting()
    moved = move(info, S.ACTIVE, Wall(NOW - 3600.0))
    assert moved.updated_at > info.updated_at


def test_what_a_start_waits_for_is_gone_once_it_is_active() -> None:
    info = explain(starting(), "Waiting for alice", LATER)
    assert (status_of(info), info.details) == (S.STARTING, "Waiting for alice")
    assert move(info, S.ACTIVE, LATER).details == ""
    assert move(info, S.ABORTED, LATER, reason=EndReason.STOPPED).details == "End reason: StopEgress API"


def test_the_first_end_reason_stays() -> None:
    info = move(at(S.ACTIVE), S.ENDING, LATER, reason=EndReason.SOURCE_CLOSED)
    assert info.details == "End reason: Source closed"
    assert move(info, S.FAILED, LATER, reason=EndReason.FAILURE).details == "End reason: Source closed"


@pytest.mark.parametrize(
    ("outcome", "status", "error", "code", "details"),
    [
        (Outcome(EndReason.STOPPED, (MADE,)), S.COMPLETE, "", 0, "StopEgress API"),
        (Outcome(EndReason.SOURCE_CLOSED, (MADE,)), S.COMPLETE, "", 0, "Source closed"),
        (Outcome(EndReason.PROCESS_KILLED, (MADE,)), S.COMPLETE, "", 0, "Process killed"),
        (Outcome(EndReason.LIMIT_REACHED, (MADE,)), S.LIMIT_REACHED, "Session limit reached", 413, None),
        (Outcome(EndReason.STOPPED), S.ABORTED, "Stop called before pipeline could start", 412, "StopEgress API"),
        (Outcome(EndReason.LIMIT_REACHED), S.ABORTED, "Session limit reached before start signal", 412, None),
        (
            Outcome(EndReason.FAILURE, (MADE,), Failure(Code.UNAVAILABLE, "The room is gone", "Try again")),
            S.FAILED,
            "The room is gone. Try again",
            503,
            "Failure",
        ),
        (
            Outcome(EndReason.STOPPED, (), Failure(Code.NOT_FOUND, "No such track")),
            S.FAILED,
            "No such track",
            404,
            "Failure",
        ),
    ],
)
def test_how_outcomes_are_told(
    outcome: Outcome, status: EgressStatus, error: str, code: int, details: str | None
) -> None:
    for begin in (S.STARTING, S.ACTIVE):
        infos = conclude(at(begin), outcome, LATER)
        last = infos[-1]
        assert status_of(last) is status
        assert (last.error, last.error_code) == (error, code)
        assert last.details == f"End reason: {details or 'Session limit reached'}"
        assert last.ended_at == last.updated_at >= round(LATER) * 10**9
        for before, after in pairwise([at(begin), *infos]):
            assert legal(status_of(before), status_of(after))
            assert after.updated_at > before.updated_at
        assert [info.ended_at for info in infos[:-1]] == [0] * (len(infos) - 1)


def test_what_has_ended_is_not_ended_again() -> None:
    assert conclude(at(S.COMPLETE), Outcome(EndReason.STOPPED), LATER) == []


def test_nothing_recordable_came_although_it_was_active() -> None:
    infos = conclude(at(S.ENDING), Outcome(EndReason.STOPPED), LATER)
    assert [status_of(info) for info in infos] == [S.ABORTED]


def test_files_and_the_older_result() -> None:
    second = FileOutcome("a-2.mp4", "/out/a-2.mp4", 5, Wall(NOW + 20.0), 1.0)
    (*_, info) = conclude(at(S.ACTIVE), Outcome(EndReason.STOPPED, (MADE, second)), LATER)
    first, further = info.file_results
    assert (first.filename, first.location, first.size) == ("a.mp4", "/out/a.mp4", 1234)
    assert first.started_at == round((NOW + 1.5) * 1000) * 10**6
    assert first.duration == 12_250_000_000
    assert first.ended_at == first.started_at + first.duration
    assert (further.filename, further.duration) == ("a-2.mp4", 10**9)
    assert info.file == first


def test_an_aborted_egress_keeps_the_names_that_were_planned() -> None:
    (info,) = conclude(starting(), Outcome(EndReason.STOPPED), LATER)
    assert [(file.filename, file.size) for file in info.file_results] == [("a.mp4", 0)]


def test_an_error_on_its_way() -> None:
    error = EgressError("No", remedy="Do", field="f", code=Code.UNIMPLEMENTED)
    back = Failure.of(error).as_error()
    assert (str(back), back.field, back.code) == (str(error), "f", Code.UNIMPLEMENTED)
