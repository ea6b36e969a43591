"""What a session is told by its plan, copies or an encoding alike: where, what, how long. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.codecs import Kind
from pyegress.plan.copy_plan import Connection, CopyPlan
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.plan.selection import EveryTrack, ParticipantTracks, Selection
from pyegress.plan.sources import MediaSource, RoomSource, Source
from pyegress.worker.choice import Choice, NamedTracks, choice_of

#: How long a missing packet is waited for, seconds. Who watches live waits for everything.
FILE_LATENCY = 0.5
LIVE_LATENCY = 0.3


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds; None is without limit."""

    connection: Connection
    source: Selection | Source
    choice: Choice
    #: For the room.
    wait_room: float | None
    #: For the first media.
    wait: float | None
    grace: float
    latency: float
    reconnect_window: float
    duration: float | None
    max_file_size: int | None
    #: One file for each track, and an index.
    many_files: bool
    #: Copies end where their packets do.
    copies: bool
    #: Who joins; "" is made up.
    identity: str = ""

    @property
    def follows_room(self) -> bool:
        """Whether only the room, or a stop, ends it: then no single track may."""
        return isinstance(self.source, EveryTrack | RoomSource | MediaSource)


def terms_of(plan: CopyPlan | RecordingPlan) -> Terms:
    """The terms of a plan that joins a room."""
    return _of_copies(plan) if isinstance(plan, CopyPlan) else _of_encoding(plan)


def _of_copies(plan: CopyPlan) -> Terms:
    return Terms(
        connection=plan.connection,
        source=plan.selection,
        choice=NamedTracks(plan.selection),
        wait_room=plan.wait,
        wait=plan.wait,
        grace=plan.grace,
        latency=plan.latency,
        reconnect_window=plan.reconnect_window,
        duration=plan.duration,
        max_file_size=plan.max_file_size,
        many_files=plan.many_files,
        copies=True,
        identity=plan.egress_id,
    )


def _of_encoding(plan: RecordingPlan) -> Terms:
    if plan.connection is None:
        raise ValueError("the plan joins no room")
    wanted = ((Kind.AUDIO, plan.with_audio), (Kind.VIDEO, plan.with_video))
    match plan.source:
        case ParticipantTracks():
            wait = plan.waits.participant
        case RoomSource() | MediaSource():
            wait = None
        case _:
            wait = plan.waits.tracks
    return Terms(
        connection=plan.connection,
        source=plan.source,
        choice=choice_of(plan.source, frozenset(kind for kind, taken in wanted if taken)),
        wait_room=plan.waits.room,
        wait=wait,
        grace=plan.waits.grace,
        latency=LIVE_LATENCY if plan.live else FILE_LATENCY,
        reconnect_window=plan.waits.reconnect,
        duration=plan.max_duration,
        max_file_size=plan.max_file_size,
        many_files=False,
        copies=False,
        identity=plan.egress_id,
    )
