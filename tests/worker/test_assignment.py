from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from livekit.protocol import egress as pb

from pyegress.codecs import Codec
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import StreamOutcome, StreamStatus
from pyegress.lifecycle.recording import EndReason, RecordingState
from pyegress.lifecycle.worker_messages import Launch
from pyegress.plan.copy_plan import CopyPlan
from pyegress.plan.egress_info import starting_info
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import FileOutput, RecordingPlan, Service, SessionLimits
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.worker.assignment import Assignment, assign
from pyegress.worker.delivered_session import DeliveredSession
from pyegress.worker.delivery import InPlace
from pyegress.worker.planned_paths import PlannedPaths
from pyegress.worker.progress import RecordedFile, RecordingResult
from pyegress.worker.session import RecordingSession
from tests.plan.requests import FILE, NOW, SERVICE, planned, room, track, v2, v2_file
from tests.worker.playing import participant, publication

pytestmark = pytest.mark.unit


def assigned(request: EgressRequest, service: Service = SERVICE, directory: str = "/out") -> Assignment:
    info = starting_info(planned(request, service=service), request)
    launch = Launch(
        egress_id="EG_1",
        kind=request.DESCRIPTOR.full_name,
        request=request.SerializeToString(),
        info=info.SerializeToString(),
        at=NOW,
        service=service,
        directory=directory,
        spool="/spool/EG_1",
    )
    return assign(launch, on_progress=lambda progress: None)


async def test_how_a_result_is_told() -> None:
    file = RecordedFile(Path("/out/a.mp4"), 7, 2.0, (), "alice", "", NOW, 0.0, 2.0, warnings=("slow disk",))
    elsewhere = replace(file, filename="a.mp4", location="https://bucket/a.mp4", warnings=())
    stream = StreamOutcome("rtmp://h/app/{...}", StreamStatus.FINISHED)
    files = file, elsewhere
    result = RecordingResult(
        RecordingState.COMPLETE, EndReason.STOPPED, files, NOW, 2.0, "standup", "RM_1", streams=(stream,)
    )
    outcome = assigned(room(FILE)).outcome(result)
    assert [(told.filename, told.location, told.size) for told in outcome.files] == [
        ("/out/a.mp4", "/out/a.mp4", 7),
        ("a.mp4", "https://bucket/a.mp4", 7),
    ]
    assert outcome.warnings == ("slow disk",)
    assert outcome.streams == (stream,)


def copied(assignment: Assignment) -> CopyPlan:
    assert isinstance(assignment.session, DeliveredSession)
    session = assignment.session.inner
    assert isinstance(session, RecordingSession)
    assert isinstance(session.plan, CopyPlan)
    return session.plan


CAMERA = pb.MediaSource(video_track_id="TR_1")
VOICE = pb.MediaSource(audio=pb.AudioConfig(routes=[pb.AudioRoute(track_id="TR_1")]))


@pytest.mark.parametrize(
    "request_",
    [
        track("talk"),
        v2(v2_file("talk"), media=CAMERA, preset="PASSTHROUGH"),
        v2(v2_file("talk"), media=VOICE, preset="PASSTHROUGH"),
    ],
)
async def test_copies(request_: EgressRequest) -> None:
    service = Service(ws_url="ws://h", api_key="k", api_secret="s", limits=SessionLimits(file=9.0, file_size=5))
    plan = copied(assigned(request_, service))
    assert plan.selection == OneTrack(track_id="TR_1")
    assert (plan.output, plan.egress_id, plan.overwrite) == ("/out/talk", "EG_1", True)
    assert (plan.duration, plan.max_file_size) == (9.0, 5)


async def test_copies_of_participants_and_pairs() -> None:
    copy = pb.EncodingOptionsPreset.PASSTHROUGH
    alice = pb.ParticipantEgressRequest(room_name="r", identity="alice", file_outputs=[FILE], preset=copy)
    assert copied(assigned(alice)).selection == ParticipantTracks(identity="alice")
    pair = pb.TrackCompositeEgressRequest(
        room_name="r", audio_track_id="TR_A", video_track_id="TR_V", file_outputs=[FILE], preset=copy
    )
    assert copied(assigned(pair)).selection == TrackPair(audio_track_id="TR_A", video_track_id="TR_V")


async def test_live_copies_are_what_encodings_are() -> None:
    """With the file of a copy beside them, and the end of a copy."""
    request = v2(
        v2_file("talk"),
        pb.Output(segments=pb.SegmentedFileOutput(filename_prefix="s")),
        media=CAMERA,
        preset="PASSTHROUGH",
    )
    session = assigned(request).session
    assert isinstance(session, DeliveredSession)
    assert isinstance(session.inner, RecordingSession)
    plan = session.inner.plan
    assert isinstance(plan, RecordingPlan)
    assert plan.source == OneTrack(track_id="TR_1")
    assert plan.copies_live


async def test_a_layout_that_cannot_be_is_refused() -> None:
    with pytest.raises(EgressError):
        assigned(room(FILE, layout="grid?gap=much"))


def named(tmp_path: Path, asked: str, *codecs: Codec, part: int = 1) -> str:
    plan = copied(assigned(track(asked), directory=str(tmp_path)))
    output = next(iter(planned(track(str(tmp_path / asked))).outputs))
    assert isinstance(output, FileOutput)
    paths = PlannedPaths(plan, output, InPlace(), NOW, is_ours=lambda path: False)
    paths.joined("standup", "RM_1")
    camera = publication("TR_1", codecs[0])
    path_for = paths.of_participant(participant("al/ice", camera), camera)
    return str(path_for(frozenset(codecs), part).relative_to(tmp_path))


async def test_the_extension_follows_the_codec(tmp_path: Path) -> None:
    assert named(tmp_path, "talk.mp4", Codec.VP8) == "talk.webm"
    assert named(tmp_path, "talk.mp4", Codec.H264) == "talk.mp4"
    assert named(tmp_path, "talk", Codec.OPUS) == "talk.ogg"
    assert named(tmp_path, "my.talk", Codec.H264) == "my.talk.mp4"
    assert named(tmp_path, "talk.mp4", Codec.H264, part=2) == "talk-2.mp4"


async def test_tokens_are_those_of_the_track(tmp_path: Path) -> None:
    asked = "{publisher_identity}-{track_id}-{track_type}-{track_source}"
    assert named(tmp_path, asked, Codec.VP8) == "al_ice-TR_1-video-camera.webm"
