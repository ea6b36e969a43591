"""Plans that encode, as the foreground makes them, and feeds that lead nowhere."""

from __future__ import annotations

from typing import Any

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.plan.copy_plan import Connection
from pyegress.plan.encoding_arguments import EncodingArguments
from pyegress.plan.foreground import Session, plan_participant, plan_room, plan_track_composite
from pyegress.plan.output_words import parse_output
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.room.events import Participant, SenderReportSeen, TrackPublication
from pyegress.room.token import RecorderIdentity, recorder_token
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.feed import Feed
from tests.worker.playing import at

#: Far in the future.
_TOKEN = recorder_token("key", "secret", RecorderIdentity("standup", "EG_1"), now=Wall(4e9))
CONNECTION = Connection(url="ws://h", room="standup", token=_TOKEN)


def session(output: object = "out.mp4", **changes: Any) -> Session:
    arguments: dict[str, Any] = {"connection": CONNECTION, "outputs": (parse_output(str(output)),), "egress_id": "EG_1"}
    return Session(**({"at": Wall(1_700_000_000.0)} | arguments | changes))


def room_plan(output: object = "out.mp4", **changes: Any) -> RecordingPlan:
    return plan_room(session(output, **changes), EncodingArguments())


def participant_plan(identity: str = "alice", **changes: Any) -> RecordingPlan:
    return plan_participant(session(**changes), EncodingArguments(), identity=identity)


def pair_plan(audio: str = "TR_A", video: str = "TR_V", **changes: Any) -> RecordingPlan:
    tracks = {"audio_track_id": audio, "video_track_id": video}
    return plan_track_composite(session(**changes), EncodingArguments(), **tracks)


class Nowhere:
    """A `TrackTarget` that keeps nothing."""

    def begin_stream(self, feed: Feed, codec: Codec) -> None: ...

    def frame(self, feed: Feed, frame: EncodedFrame) -> None: ...

    def report(self, feed: Feed, report: SenderReportSeen) -> None: ...

    def end_stream(self, feed: Feed) -> None: ...


def feed_of(participant: Participant, track: TrackPublication) -> Feed:
    return Feed(participant, track, Nowhere(), rank=0, now=at(0))
