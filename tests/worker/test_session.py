"""A session with a plan that encodes, told by a simulated room what happens: what it takes, when and where it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Monotonic, Wall, monotonic
from pyegress.codecs import Codec
from pyegress.errors import InvalidRequest, RoomConnectionFailed
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.timeline import TrackSpan
from pyegress.media.steps import Step
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.room.events import (
    Disconnected,
    Participant,
    ParticipantJoined,
    ParticipantLeft,
    Reconnected,
    Reconnecting,
    RoomEvent,
    SenderReportSeen,
    Source,
    SubscriptionFailed,
    TrackMuted,
    TrackPublication,
    TrackPublished,
    TrackStats,
    TrackUnpublished,
)
from pyegress.room.transport import TransportState
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker import session as session_module
from pyegress.worker.feed import Feed
from pyegress.worker.media_recorder import recordable
from pyegress.worker.progress import Recorded, RecordedFile, RecordingResult
from pyegress.worker.session import RecordingSession
from tests.support.waiting import eventually
from tests.worker.encoding_plans import pair_plan, participant_plan, room_plan
from tests.worker.playing import participant, publication

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("no_tasks_left")]

MIC = publication("TR_A", Codec.OPUS, Source.MICROPHONE)
CAMERA = publication("TR_V", Codec.VP8)
SECOND_MIC = publication("TR_A2", Codec.OPUS, Source.MICROPHONE)
FLIP = publication("TR_X", None)
ALICE, BOB = participant("alice", MIC, CAMERA), participant("bob", SECOND_MIC)
AGENT = replace(participant("robot"), kind="agent")
FILE = RecordedFile(Path("out.mp4"), 1, 1.0, (), "", "", Wall(0.0), 0.0, 1.0)


class Subscribed:
    stats = TrackStats()

    def request_keyframe(self, now: Monotonic) -> None: ...

    def unsubscribe(self) -> None: ...


class SimulatedRoom:
    """What a session uses of a `Room`."""

    name, sid = "standup", "RM_1"
    media_state = TransportState.CONNECTED
    media_error = None

    def __init__(self, *people: Participant) -> None:
        self.participants = {person.identity: person for person in people}
        self.tell: Callable[[RoomEvent], None]
        self.subscribed: list[str] = []
        self.closed = False

    def add_listener(self, listener: Callable[[RoomEvent], None]) -> None:
        self.tell = listener

    def subscribe(self, sid: str, feed: Feed) -> Subscribed:
        self.subscribed.append(sid)
        return Subscribed()

    async def aclose(self) -> None:
        self.closed = True


class NotedRecorder:
    """A `MediaRecorder` that only notes what a session asks of it."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.feeds: dict[str, Feed] = {}
        self.events: list[RoomEvent] = []
        self.empty: list[Monotonic | None] = []
        self.ended: list[Monotonic | None] = []
        self.started = False
        self.bytes_written = 0
        self.seconds = 0.0
        self.started_at: Wall | None = None
        self.paths: list[Path] = []
        self.streams: tuple[StreamOutcome, ...] = ()

    def steps(self) -> list[Step]:
        return []

    def elapsed(self, now: Monotonic) -> float:
        return self.seconds

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def check_output(self) -> None: ...

    def joined(self, room_name: str, room_sid: str) -> None:
        assert (room_name, room_sid) == ("standup", "RM_1")

    def feed(self, participant: Participant, track: TrackPublication) -> Feed:
        recordable(participant, track)
        feed = Feed(participant, track, self, rank=0, now=monotonic())
        self.feeds[track.sid] = feed
        return feed

    def track_over(self, feed: Feed) -> None: ...

    def on_event(self, event: RoomEvent) -> None:
        self.events.append(event)

    def room_empty(self, at: Monotonic | None) -> None:
        self.empty.append(at)

    def tick(self, now: Monotonic) -> None: ...

    def track_spans(self) -> tuple[TrackSpan, ...]:
        return ()

    def update_streams(self, request: pb.UpdateStreamRequest) -> None: ...

    async def finish(self, end: Monotonic | None) -> Recorded:
        self.ended.append(end)
        return Recorded((FILE,) if self.started else ())

    def begin_stream(self, feed: Feed, codec: Codec) -> None: ...

    def frame(self, feed: Feed, frame: EncodedFrame) -> None: ...

    def report(self, feed: Feed, report: SenderReportSeen) -> None: ...

    def end_stream(self, feed: Feed) -> None: ...


class Scene:
    """A session that has joined, with its room and its recorder."""

    def __init__(self, plan: RecordingPlan, room: SimulatedRoom) -> None:
        self.room, self.recorder = room, NotedRecorder()
        self.session = RecordingSession(plan, make_recorder=lambda on_error: self.recorder)
        self.task = asyncio.create_task(self.session.run())

    async def happens(self, *events: RoomEvent) -> None:
        """Tell the session, and wait until it has dealt with it."""
        for event in events:
            self.room.tell(event)
        await eventually(lambda: self.recorder.events[-1] is events[-1], f"{events[-1]} to be dealt with")

    async def ended(self) -> RecordingResult:
        async with asyncio.timeout(20):
            return await self.task


@pytest.fixture
def scene(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    @asynccontextmanager
    async def begin(plan: RecordingPlan, *people: Participant) -> AsyncIterator[Scene]:
        room = SimulatedRoom(*people)

        async def join(
            stopped: Coroutine[Any, Any, Any], terms: object, *, on_waiting: object, seam: object = None
        ) -> SimulatedRoom:
            stopped.close()
            return room

        monkeypatch.setattr(session_module, "join_unless", join)
        made = Scene(plan, room)
        try:
            await eventually(lambda: hasattr(room, "tell"), "joined")
            yield made
        finally:
            made.session.stop()
            await asyncio.gather(made.task, return_exceptions=True)
            assert room.closed

    return begin


def at(seconds: float) -> Monotonic:
    """So many seconds ago, or from now on: what a room tells has just happened."""
    return Monotonic(monotonic() + seconds)


def left(who: Participant, when: Monotonic) -> ParticipantLeft:
    return ParticipantLeft(when, who)


async def test_everybody_is_taken_and_every_event_handed_on(scene: Any) -> None:
    async with scene(room_plan(), ALICE, AGENT) as one:
        await one.happens(ParticipantJoined(at(0), BOB))
        assert one.room.subscribed == ["TR_A", "TR_V", "TR_A2"]
        seen = [event.participant.identity for event in one.recorder.events]
        assert seen == ["alice", "robot", "bob"]
        muted = replace(MIC, muted=True)
        await one.happens(TrackMuted(at(0), ALICE, muted))
        assert one.recorder.feeds["TR_A"].is_muted
        assert not one.task.done()


async def test_a_room_is_empty_without_people_and_not_with_them(scene: Any) -> None:
    async with scene(room_plan(), ALICE, BOB, AGENT) as one:
        one.recorder.started = True
        gone = at(0)
        await one.happens(left(ALICE, at(0)))
        assert one.recorder.empty == []
        await one.happens(left(BOB, gone))
        assert one.recorder.empty == [gone], "an agent keeps no room open"
        await one.happens(left(AGENT, at(0)), ParticipantJoined(at(0), ALICE))
        assert one.recorder.empty == [gone, None]
        assert not one.task.done(), "a room is recorded until it ends"


async def test_a_closed_room_ends_where_the_last_one_left(scene: Any) -> None:
    async with scene(room_plan(), ALICE) as one:
        one.recorder.started = True
        gone = at(-20)
        one.room.tell(left(ALICE, gone))
        one.room.tell(Disconnected(at(0), "room_deleted"))
        result = await one.ended()
    assert one.recorder.ended == [gone]
    assert (result.state, result.reason) == (RecordingState.COMPLETE, EndReason.SOURCE_CLOSED)
    assert result.details == "room deleted"


async def test_a_participant_ends_it_where_they_left_and_not_after_the_grace(scene: Any) -> None:
    async with scene(participant_plan(grace=0.3), ALICE, BOB) as one:
        assert one.room.subscribed == ["TR_A", "TR_V"]
        one.recorder.started = True
        await one.happens(left(BOB, at(0)))
        gone = at(0)
        one.room.tell(left(ALICE, gone))
        result = await one.ended()
    assert one.recorder.ended == [gone]
    assert result.details == "participant 'alice' left"


async def test_two_tracks_end_it_with_the_last_of_them(scene: Any) -> None:
    async with scene(pair_plan(), ALICE) as one:
        one.recorder.started = True
        await one.happens(TrackUnpublished(at(0), ALICE, CAMERA))
        gone = at(0)
        one.room.tell(TrackUnpublished(gone, ALICE, MIC))
        result = await one.ended()
    assert one.recorder.ended == [gone]
    assert result.reason is EndReason.SOURCE_CLOSED


@pytest.mark.parametrize(
    ("plan", "field"),
    [(pair_plan(audio="TR_V", video=""), "audio_track_id"), (pair_plan(audio="", video="TR_A"), "video_track_id")],
    ids=["audio", "video"],
)
async def test_an_id_of_the_wrong_kind_is_refused_at_once(scene: Any, plan: RecordingPlan, field: str) -> None:
    async with scene(plan, BOB) as one:
        one.room.tell(ParticipantJoined(at(0), ALICE))
        result = await one.ended()
    assert isinstance(result.error, InvalidRequest)
    assert result.error.field == field
    assert field in result.error.message
    assert (result.state, result.files) == (RecordingState.FAILED, ())


async def test_an_id_of_the_wrong_kind_does_not_end_what_is_recorded_already(scene: Any) -> None:
    async with scene(pair_plan(video="TR_A2"), ALICE) as one:
        one.recorder.started = True
        await one.happens(TrackPublished(at(0), BOB, SECOND_MIC))
        (warning,) = one.recorder.warnings
        assert "The microphone of 'bob' is not recorded: Track TR_A2 was given as video_track_id" in warning
        assert not one.task.done()
        one.session.stop()
        result = await one.ended()
    assert result.state is RecordingState.COMPLETE
    assert result.error is None


async def test_one_track_that_cannot_be_recorded_does_not_end_a_room(scene: Any) -> None:
    eve = participant("eve", FLIP, replace(MIC, sid="TR_S", encrypted=True))
    async with scene(room_plan(), eve, ALICE) as one:
        await eventually(lambda: one.room.subscribed == ["TR_A", "TR_V"], "the others")
        codec, sealed = one.recorder.warnings
        assert "TR_X" in codec
        assert "cannot be recorded" in codec
        assert "end-to-end encrypted" in sealed
        refusal = InvalidRequest("Track TR_V is not sent to us")
        await one.happens(SubscriptionFailed(at(0), "TR_V", refusal, True))
        assert not one.task.done()


async def test_the_same_track_ends_a_recording_of_it(scene: Any) -> None:
    async with scene(pair_plan(audio="", video="TR_X"), participant("eve", FLIP)) as one:
        result = await one.ended()
    assert isinstance(result.error, InvalidRequest)
    assert "cannot be recorded" in result.error.message


@pytest.mark.parametrize(
    ("changes", "state", "details"),
    [
        ({"max_file_size": 1000}, {"bytes_written": 1000}, "the file size is reached"),
        ({"duration": 60.0}, {"seconds": 61.0}, "the duration is reached"),
    ],
    ids=["size", "duration"],
)
async def test_limits(scene: Any, changes: dict[str, Any], state: dict[str, Any], details: str) -> None:
    async with scene(room_plan(**changes), ALICE) as one:
        one.recorder.started = True
        await one.happens(ParticipantJoined(at(0), BOB))
        assert not one.task.done()
        for name, value in state.items():
            setattr(one.recorder, name, value)
        result = await one.ended()
    assert (result.reason, result.details) == (EndReason.LIMIT_REACHED, details)
    assert result.state is RecordingState.COMPLETE


async def test_no_size_below_the_limit_ends_it(scene: Any) -> None:
    async with scene(room_plan(max_file_size=1000), ALICE) as one:
        one.recorder.started, one.recorder.bytes_written = True, 999
        await eventually(lambda: one.session.lifecycle.state is RecordingState.ACTIVE, "a look at the limits")
        assert not one.task.done()


async def test_a_connection_lost_for_good_ends_it_where_it_was_lost(scene: Any) -> None:
    async with scene(room_plan(), ALICE) as one:
        one.recorder.started = True
        lost = at(-30)
        one.room.tell(Reconnecting(lost, True, "the server is gone"))
        one.room.tell(Disconnected(at(0), "", RoomConnectionFailed("it did not come back")))
        result = await one.ended()
    assert one.recorder.ended == [lost]
    assert (result.state, result.files) == (RecordingState.FAILED, (FILE,))
    assert isinstance(result.error, RoomConnectionFailed)


async def test_a_server_that_restarts_takes_no_participant_with_it(scene: Any) -> None:
    again = participant("alice", replace(MIC, sid="TR_A9"), replace(CAMERA, sid="TR_V9"))
    async with scene(participant_plan(grace=0.0), ALICE) as one:
        one.recorder.started = True
        await one.happens(Reconnecting(at(0), True, "gone"), left(ALICE, at(0)), Reconnected(at(0), True, 2.0))
        assert not one.task.done()
        await one.happens(ParticipantJoined(at(0), again))
        assert one.room.subscribed == ["TR_A", "TR_V", "TR_A9", "TR_V9"]
        assert not one.task.done()


async def test_nobody_comes_and_it_is_stopped(scene: Any) -> None:
    async with scene(room_plan(wait=0.1), AGENT) as one:
        await eventually(lambda: one.session.progress().waiting_for, "what is waited for")
        assert one.session.progress().waiting_for == "somebody to publish audio or video"
        assert one.session.progress().seen == ("robot: publishes nothing",)
        one.session.stop()
        result = await one.ended()
    assert (result.state, result.error) == (RecordingState.ABORTED, None)
