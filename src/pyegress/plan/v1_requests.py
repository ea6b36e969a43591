"""The five V1 requests, checked and as forms."""

from __future__ import annotations

from livekit.protocol import egress as pb

from pyegress.plan.encodings import EncodingWish
from pyegress.plan.form import (
    CompositeRequest,
    Form,
    asked_encoding,
    audio_mixing,
    recorded_kinds,
    room_source,
    webhooks_of,
)
from pyegress.plan.output_options import AskedOutputs
from pyegress.plan.recording_plan import RequestType, Service, Start
from pyegress.plan.refusals import invalid_field
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import (
    PageSource,
    Source,
)


def room_composite_form(request: pb.RoomCompositeEgressRequest, start: Start, service: Service) -> Form:
    audio, video = recorded_kinds(request.audio_only or start.audio_only, request.video_only or start.video_only)
    mixing = audio_mixing(request.audio_mixing)
    source = room_source(request.layout, request.custom_base_url, mixing, service, video=video)
    return _composite(request, RequestType.ROOM_COMPOSITE, source, request.room_name, audio, video)


def web_form(request: pb.WebEgressRequest) -> Form:
    source = PageSource(request.url, request.await_start_signal)
    audio, video = recorded_kinds(request.audio_only, request.video_only)
    return _composite(request, RequestType.WEB, source, "", audio, video)


def participant_form(request: pb.ParticipantEgressRequest, start: Start) -> Form:
    if not request.identity:
        raise invalid_field("identity", "No participant was named", "Give the identity of the participant")
    source = ParticipantTracks(request.identity, request.screen_share)
    audio, video = recorded_kinds(start.audio_only, start.video_only)
    return _composite(
        request, RequestType.PARTICIPANT, source, request.room_name, audio, video, identity=request.identity
    )


def track_composite_form(request: pb.TrackCompositeEgressRequest) -> Form:
    if not request.audio_track_id and not request.video_track_id:
        raise invalid_field(
            "audio_track_id or video_track_id",
            "No track was named",
            "Give an audio track id, a video track id, or both",
        )
    if request.audio_track_id == request.video_track_id:
        raise invalid_field("audio_track_id", "The audio and the video track are the same", "Give two different tracks")
    source = TrackPair(request.audio_track_id, request.video_track_id)
    return _composite(
        request,
        RequestType.TRACK_COMPOSITE,
        source,
        request.room_name,
        bool(request.audio_track_id),
        bool(request.video_track_id),
    )


def track_form(request: pb.TrackEgressRequest) -> Form:
    if not request.track_id:
        raise invalid_field("track_id", "No track was named", "Give the id of the track, TR_…")
    outputs = AskedOutputs()
    if request.HasField("file"):
        outputs.files.append((request.file, (request.file,)))
    elif request.HasField("websocket_url"):
        outputs.websocket_url = request.websocket_url
    return Form(
        type=RequestType.TRACK,
        source=OneTrack(request.track_id),
        room_name=request.room_name,
        audio=True,
        video=outputs.websocket_url is None,
        encoding=EncodingWish(),
        preset=None,
        outputs=outputs,
        webhooks=webhooks_of(request.webhooks),
        track_id=request.track_id,
    )


def _composite(
    request: CompositeRequest,
    type_: RequestType,
    source: Source,
    room_name: str,
    audio: bool,
    video: bool,
    *,
    identity: str = "",
) -> Form:
    encoding, preset = asked_encoding(request)
    return Form(
        type=type_,
        source=source,
        room_name=room_name,
        audio=audio,
        video=video,
        encoding=encoding,
        preset=preset,
        outputs=_v1_outputs(request),
        webhooks=webhooks_of(request.webhooks),
        identity=identity,
    )


def _v1_outputs(request: CompositeRequest) -> AskedOutputs:
    files = list(request.file_outputs)
    streams = list(request.stream_outputs)
    segments = list(request.segment_outputs)
    if not isinstance(request, pb.ParticipantEgressRequest):
        # The single outputs of older clients count only where the newer list is empty.
        if not files and request.HasField("file"):
            files = [request.file]
        if not streams and request.HasField("stream"):
            streams = [request.stream]
        if not segments and request.HasField("segments"):
            segments = [request.segments]
    return AskedOutputs(
        files=[(file, (file,)) for file in files],
        streams=streams,
        segments=[(output, (output,)) for output in segments],
        images=[(image, (image,)) for image in request.image_outputs],
    )
