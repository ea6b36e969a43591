"""Requests, and the plan or the refusal that comes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.errors import EgressError
from pyegress.plan.build import plan_recording
from pyegress.plan.form import EgressRequest
from pyegress.plan.names import time_tokens
from pyegress.plan.recording_plan import FileOutput, ImageOutput, RecordingPlan, SegmentOutput, Service, Start

NOW = Wall(datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC).timestamp())
UTC_TOKEN = "20260304050607089"
TIME_TOKEN = time_tokens(NOW)["time"]
START = Start(egress_id="EG_1", at=NOW, room_id="RM_1")
SERVICE = Service(ws_url="ws://localhost:7880", api_key="key", api_secret="hidden")

FILE = pb.EncodedFileOutput(filepath="a.mp4")
RTMP = "rtmp://host/app/streamkey"


def planned(
    request: EgressRequest, start: Start = START, service: Service = SERVICE, **changes: object
) -> RecordingPlan:
    """The plan of `request`; `changes` are fields of `Start`."""
    return plan_recording(request, replace(start, **changes), service)  # type: ignore[arg-type]


def refused(request: EgressRequest, start: Start = START, service: Service = SERVICE, **changes: object) -> EgressError:
    """The error of `request`."""
    with pytest.raises(EgressError) as caught:
        planned(request, start, service, **changes)
    return caught.value


def room(*files: pb.EncodedFileOutput, **fields: object) -> pb.RoomCompositeEgressRequest:
    """A RoomComposite request of room `standup`."""
    return pb.RoomCompositeEgressRequest(**{"room_name": "standup", "file_outputs": files, **fields})  # type: ignore[arg-type]


def participant(*files: pb.EncodedFileOutput, **fields: object) -> pb.ParticipantEgressRequest:
    """A Participant request for `alice`."""
    return pb.ParticipantEgressRequest(
        **{"room_name": "standup", "identity": "alice", "file_outputs": files, **fields}  # type: ignore[arg-type]
    )


def composite(*files: pb.EncodedFileOutput, **fields: object) -> pb.TrackCompositeEgressRequest:
    """A TrackComposite request of a microphone and a camera."""
    tracks = {"audio_track_id": "TR_A", "video_track_id": "TR_V"}
    return pb.TrackCompositeEgressRequest(
        **{"room_name": "standup", "file_outputs": files, **tracks, **fields}  # type: ignore[arg-type]
    )


def track(path: str = "", **fields: object) -> pb.TrackEgressRequest:
    """A Track request that writes a file."""
    output = {} if "websocket_url" in fields else {"file": pb.DirectFileOutput(filepath=path)}
    return pb.TrackEgressRequest(**{"room_name": "standup", "track_id": "TR_1", **output, **fields})  # type: ignore[arg-type]


def v2(*outputs: pb.Output, **fields: object) -> pb.StartEgressRequest:
    """A V2 request, of the room's template unless a source is given."""
    source = {} if {"web", "media", "template"} & fields.keys() else {"template": pb.TemplateSource()}
    return pb.StartEgressRequest(**{"room_name": "standup", "outputs": outputs, **source, **fields})  # type: ignore[arg-type]


def v2_file(path: str = "a.mp4", file_type: int = 0) -> pb.Output:
    """A file output of a V2 request."""
    return pb.Output(file=pb.FileOutput(filepath=path, file_type=file_type))  # type: ignore[arg-type]


def file_of(plan: RecordingPlan) -> FileOutput:
    """The one file of a plan."""
    (found,) = [output for output in plan.outputs if isinstance(output, FileOutput)]
    return found


def segments_of(plan: RecordingPlan) -> SegmentOutput:
    """The one HLS output of a plan."""
    (found,) = [output for output in plan.outputs if isinstance(output, SegmentOutput)]
    return found


def images_of(plan: RecordingPlan) -> list[ImageOutput]:
    """The image outputs of a plan."""
    return [output for output in plan.outputs if isinstance(output, ImageOutput)]
