"""Where files end, by why they do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from pyegress.clock import Monotonic, Wall
from pyegress.errors import InvalidRequest, RoomConnectionFailed
from pyegress.lifecycle.outcome import StreamOutcome, StreamStatus
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.selection import ParticipantTracks
from pyegress.worker.ending import EndPolicy
from pyegress.worker.presence import Presence
from pyegress.worker.progress import Recorded, RecordedFile, RecordingResult
from pyegress.worker.stop import Stop, end_of_media, final_state, result_of, run_to_its_end
from pyegress.worker.terms import terms_of
from tests.worker.encoding_plans import CONNECTION, participant_plan, room_plan
from tests.worker.playing import at, participant

pytestmark = pytest.mark.unit

COPIES = CopyPlan(CONNECTION, ParticipantTracks("alice"), "x")
NOW = at(60)
CLOSED = Stop(EndReason.SOURCE_CLOSED)
LOST = Stop(EndReason.FAILURE, error=RoomConnectionFailed("gone"))


def end(
    stop: Stop,
    plan: CopyPlan | RecordingPlan,
    *,
    left: Monotonic | None = None,
    lost: Monotonic | None = None,
) -> Monotonic | None:
    """Where the files end when Alice, who was there, `left`."""
    terms, presence = terms_of(plan), Presence()
    policy = EndPolicy(terms.source, terms.grace)
    presence.there(participant("alice"))
    policy.participant_there("alice")
    if left is not None:
        presence.left(participant("alice"), left)
        policy.participant_left("alice", left)
    return end_of_media(stop, terms, presence, policy, lost, NOW)


@pytest.mark.parametrize("plan", [COPIES, participant_plan(), room_plan()], ids=["copies", "participant", "room"])
def test_a_stop_ends_now(plan: CopyPlan | RecordingPlan) -> None:
    for reason in (EndReason.STOPPED, EndReason.LIMIT_REACHED):
        assert end(Stop(reason), plan) == NOW
        assert end(Stop(reason), plan, left=at(50)) == NOW


@pytest.mark.parametrize("plan", [participant_plan(), room_plan()], ids=["participant", "room"])
def test_an_encoding_ends_where_the_last_one_left(plan: RecordingPlan) -> None:
    assert end(CLOSED, plan, left=at(55)) == at(55)


@pytest.mark.parametrize("plan", [participant_plan(), room_plan()], ids=["participant", "room"])
def test_a_room_that_is_closed_with_people_in_it_ends_now(plan: RecordingPlan) -> None:
    assert end(CLOSED, plan) == NOW


def test_copies_end_with_their_packets() -> None:
    assert end(CLOSED, COPIES, left=at(55)) is None


def test_a_connection_that_never_came_back_ended_when_it_was_lost() -> None:
    for plan in (participant_plan(), room_plan()):
        assert end(LOST, plan, lost=at(40)) == at(40)
        assert end(LOST, plan) == NOW
    assert end(LOST, COPIES, lost=at(40)) == NOW


def test_how_it_ended() -> None:
    file = RecordedFile(Path("x"), 1, 1.0, (), "", "", Wall(0.0), 0.0, 1.0)
    stream = StreamOutcome("rtmp://h/a/{...}", StreamStatus.FINISHED)
    sent = replace(stream, started_at=Wall(1.0))
    nothing = Recorded(streams=(stream,))
    for made in (Recorded((file,)), Recorded(streams=(stream, sent))):
        assert final_state(None, made) is RecordingState.COMPLETE
        assert final_state(InvalidRequest("no"), made) is RecordingState.FAILED
    assert final_state(None, nothing) is RecordingState.ABORTED
    assert final_state(InvalidRequest("no"), nothing) is RecordingState.FAILED


@pytest.mark.parametrize("raised", [None, RoomConnectionFailed("gone"), asyncio.CancelledError(), ZeroDivisionError()])
async def test_whatever_comes_what_was_recorded_is_finished_once(raised: BaseException | None) -> None:
    """What is expected becomes a result; the rest goes on behind it."""
    finished: list[Stop] = []
    result = result_of(CLOSED, Recorded(), None, started_at=None, warnings=(), room_name="", room_sid="")

    async def record() -> Stop:
        if raised is not None:
            raise raised
        return CLOSED

    async def finish(stop: Stop) -> RecordingResult:
        finished.append(stop)
        return result

    if raised is None or isinstance(raised, RoomConnectionFailed):
        assert await run_to_its_end(record, finish) is result
    else:
        with pytest.raises(type(raised)):
            await run_to_its_end(record, finish)
    (stop,) = finished
    assert (stop.reason, stop.error) == {
        "NoneType": (EndReason.SOURCE_CLOSED, None),
        "RoomConnectionFailed": (EndReason.FAILURE, raised),
    }.get(type(raised).__name__, (EndReason.FAILURE, None))
