"""The EgressInfo that a plan begins with, and the names in its results."""

from __future__ import annotations

from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.plan.form import EgressRequest
from pyegress.plan.recording_plan import (
    FileOutput,
    ImageOutput,
    RecordingPlan,
    SegmentOutput,
    StreamOutput,
    WebsocketOutput,
)
from pyegress.plan.redact import redacted
from pyegress.plan.stream_urls import Destination

#: The member of EgressInfo's `request` for each kind of request.
_REQUEST_FIELDS: dict[type[EgressRequest], str] = {
    pb.RoomCompositeEgressRequest: "room_composite",
    pb.WebEgressRequest: "web",
    pb.ParticipantEgressRequest: "participant",
    pb.TrackCompositeEgressRequest: "track_composite",
    pb.TrackEgressRequest: "track",
    pb.StartEgressRequest: "egress",
    pb.ExportReplayRequest: "replay",
}
_NS = 1_000_000_000


def starting_info(plan: RecordingPlan, request: EgressRequest) -> pb.EgressInfo:
    """The info of an egress that was accepted: STARTING, with its redacted request and the names of its results."""
    at = nanoseconds(plan.started_at)
    info = pb.EgressInfo(
        egress_id=plan.egress_id,
        room_id=plan.room_id,
        room_name=plan.room_name,
        source_type=(
            pb.EgressSourceType.EGRESS_SOURCE_TYPE_WEB
            if plan.needs_browser
            else pb.EgressSourceType.EGRESS_SOURCE_TYPE_SDK
        ),
        status=pb.EgressStatus.EGRESS_STARTING,
        started_at=at,
        updated_at=at,
        retry_count=plan.retry_count,
    )
    getattr(info, _REQUEST_FIELDS[type(request)]).CopyFrom(redacted(request))
    name_results(info, plan)
    return info


def without_webhooks(info: pb.EgressInfo) -> pb.EgressInfo:
    """A copy for whoever must not tell the webhooks that the request names."""
    copy = pb.EgressInfo()
    copy.CopyFrom(info)
    if (kind := copy.WhichOneof("request")) is not None:
        getattr(copy, kind).ClearField("webhooks")
    return copy


def nanoseconds(at: Wall) -> int:
    """Unix nanoseconds, as EgressInfo counts time."""
    return round(at * 1_000_000) * 1_000


def stream_info(destination: Destination) -> pb.StreamInfo:
    """The result of a stream that has not begun."""
    return pb.StreamInfo(url=destination.shown, id=destination.id, status=pb.StreamInfo.Status.ACTIVE)


def name_results(info: pb.EgressInfo, plan: RecordingPlan) -> None:
    """Write the names of the plan's outputs into the results of `info`, which are made where they are missing.

    The older `result` is kept beside them when the request has one kind of output, as older clients expect.
    """
    files = [output for output in plan.outputs if isinstance(output, FileOutput)]
    segments = [output for output in plan.outputs if isinstance(output, SegmentOutput)]
    streams = [output for output in plan.outputs if isinstance(output, StreamOutput | WebsocketOutput)]
    images = [output for output in plan.outputs if isinstance(output, ImageOutput)]
    for index, file in enumerate(files):
        if index == len(info.file_results):
            info.file_results.add()
        info.file_results[index].filename = file.path
    for index, playlist in enumerate(segments):
        if index == len(info.segment_results):
            info.segment_results.add()
        info.segment_results[index].playlist_name = playlist.names.playlist
        info.segment_results[index].live_playlist_name = playlist.names.live_playlist
    for index, image in enumerate(images):
        if index == len(info.image_results):
            info.image_results.add()
        info.image_results[index].filename_prefix = image.prefix
    if not info.stream_results:
        info.stream_results.extend(stream_info(target) for output in streams for target in output.destinations)
    copy_single_result(info)


def copy_single_result(info: pb.EgressInfo) -> None:
    """Bring the older `result` up to date: filled only when there is exactly one kind of results."""
    kinds = [
        name for name in ("file_results", "stream_results", "segment_results", "image_results") if getattr(info, name)
    ]
    match kinds:
        case ["file_results"]:
            info.file.CopyFrom(info.file_results[0])
        case ["segment_results"]:
            info.segments.CopyFrom(info.segment_results[0])
        case ["stream_results"]:
            info.stream.CopyFrom(pb.StreamInfoList(info=info.stream_results))
        case _:
            info.ClearField("file")
            info.ClearField("segments")
            info.ClearField("stream")
