"""The forms of requests, V1 and V2, checked and brought into one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.errors import Code, InvalidRequest
from pyegress.plan.encoding_options import wish_of_options, wish_of_preset
from pyegress.plan.encodings import PASSTHROUGH, EncodingWish
from pyegress.plan.output_options import AskedOutputs
from pyegress.plan.recording_plan import RequestType, Service, Start, Webhook
from pyegress.plan.refusals import invalid_field
from pyegress.plan.selection import OneTrack, ParticipantTracks, TrackPair
from pyegress.plan.sources import (
    AudioMixing,
    AudioRoute,
    AudioSelection,
    Channel,
    MediaSource,
    PageSource,
    RoomSource,
    RouteMatch,
    Source,
    TemplateSource,
    VideoSelection,
)

EgressRequest = (
    pb.RoomCompositeEgressRequest
    | pb.WebEgressRequest
    | pb.ParticipantEgressRequest
    | pb.TrackCompositeEgressRequest
    | pb.TrackEgressRequest
    | pb.StartEgressRequest
    | pb.ExportReplayRequest
)
_Composite = (
    pb.RoomCompositeEgressRequest | pb.WebEgressRequest | pb.ParticipantEgressRequest | pb.TrackCompositeEgressRequest
)


@dataclass(frozen=True, slots=True)
class Form:
    """A request in one shape: what is recorded, the encoding it asks for, and its outputs yet unread.

    `identity` and `track_id` are known for names when the request has them.
    """

    type: RequestType
    source: Source
    room_name: str
    audio: bool
    video: bool
    encoding: EncodingWish
    preset: int | None
    outputs: AskedOutputs
    webhooks: tuple[Webhook, ...]
    identity: str = ""
    track_id: str = ""
    v2: bool = False

    @property
    def passthrough(self) -> bool:
        """Whether the request asks for copies."""
        return self.preset == PASSTHROUGH or self.type is RequestType.TRACK


def read_form(request: EgressRequest, start: Start, service: Service) -> Form:
    """The form of `request`; InvalidRequest for what it lacks."""
    match request:
        case pb.RoomCompositeEgressRequest():
            return _room_composite(request, start, service)
        case pb.WebEgressRequest():
            return _web(request)
        case pb.ParticipantEgressRequest():
            return _participant(request, start)
        case pb.TrackCompositeEgressRequest():
            return _track_composite(request)
        case pb.TrackEgressRequest():
            return _track(request)
        case pb.StartEgressRequest():
            return _v2(request, start, service)
        case pb.ExportReplayRequest():
            raise InvalidRequest(
                "Replays of recorded rooms are not offered",
                field="replay_id",
                code=Code.UNIMPLEMENTED,
                remedy="Record the room while it is live",
            )
    raise invalid_field("request", "The request is of no known kind", "Use one of the Start…Egress requests")


# V1


def _room_composite(request: pb.RoomCompositeEgressRequest, start: Start, service: Service) -> Form:
    audio, video = _kinds(request.audio_only or start.audio_only, request.video_only or start.video_only)
    mixing = _mixing(request.audio_mixing)
    source = _room(request.layout, request.custom_base_url, mixing, service, video=video)
    return _composite(request, RequestType.ROOM_COMPOSITE, source, request.room_name, audio, video)


def _web(request: pb.WebEgressRequest) -> Form:
    source = PageSource(request.url, request.await_start_signal)
    audio, video = _kinds(request.audio_only, request.video_only)
    return _composite(request, RequestType.WEB, source, "", audio, video)


def _participant(request: pb.ParticipantEgressRequest, start: Start) -> Form:
    if not request.identity:
        raise invalid_field("identity", "No participant was named", "Give the identity of the participant")
    source = ParticipantTracks(request.identity, request.screen_share)
    audio, video = _kinds(start.audio_only, start.video_only)
    return _composite(
        request, RequestType.PARTICIPANT, source, request.room_name, audio, video, identity=request.identity
    )


def _track_composite(request: pb.TrackCompositeEgressRequest) -> Form:
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


def _track(request: pb.TrackEgressRequest) -> Form:
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
        webhooks=_webhooks(request.webhooks),
        track_id=request.track_id,
    )


def _composite(
    request: _Composite,
    type_: RequestType,
    source: Source,
    room_name: str,
    audio: bool,
    video: bool,
    *,
    identity: str = "",
) -> Form:
    encoding, preset = _encoding(request)
    return Form(
        type=type_,
        source=source,
        room_name=room_name,
        audio=audio,
        video=video,
        encoding=encoding,
        preset=preset,
        outputs=_v1_outputs(request),
        webhooks=_webhooks(request.webhooks),
        identity=identity,
    )


def _v1_outputs(request: _Composite) -> AskedOutputs:
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


# V2


def _v2(request: pb.StartEgressRequest, start: Start, service: Service) -> Form:
    room_name = request.room_name or start.room_name
    identity = track_id = ""
    source: Source
    match request.WhichOneof("source"):
        case "template":
            type_, template = RequestType.TEMPLATE, request.template
            audio, video = _kinds(template.audio_only, template.video_only)
            source = _room(template.layout, template.custom_base_url, AudioMixing.DEFAULT, service, video=video)
        case "web":
            type_, room_name = RequestType.WEB, ""
            source = PageSource(request.web.url, request.web.await_start_signal)
            audio, video = _kinds(request.web.audio_only, request.web.video_only)
        case "media":
            type_ = RequestType.MEDIA
            copies = request.WhichOneof("encoding") == "preset" and request.preset == PASSTHROUGH
            # A passthrough request has checks of its own, which say more.
            source = _media(request.media, lenient=copies)
            audio, video = source.audio is not None, source.video is not None
            identity = source.video.identity if source.video else ""
            track_id = _only_track(source) if copies else ""
        case _:
            raise invalid_field("source", "The request names nothing to record", "Set template, web or media")
    encoding, preset = _encoding(request)
    return Form(
        type=type_,
        source=source,
        room_name=room_name,
        audio=audio,
        video=video,
        encoding=encoding,
        preset=preset,
        outputs=_v2_outputs(request),
        webhooks=_webhooks(request.webhooks),
        identity=identity,
        track_id=track_id,
        v2=True,
    )


def _media(media: pb.MediaSource, *, lenient: bool) -> MediaSource:
    video = None
    match media.WhichOneof("video"):
        case "video_track_id":
            if not media.video_track_id and not lenient:
                raise invalid_field("video_track_id", "The video track id is empty", "Give the id of the track, TR_…")
            video = VideoSelection(track_id=media.video_track_id)
        case "participant_video":
            wanted = media.participant_video
            if not wanted.identity and not lenient:
                raise invalid_field("identity", "No participant was named for the video", "Give the identity")
            video = VideoSelection(identity=wanted.identity, prefer_screen_share=wanted.prefer_screen_share)
    audio = None
    if media.audio.capture_all or media.audio.routes:
        routes = tuple(_route(route, lenient=lenient) for route in media.audio.routes)
        audio = AudioSelection(routes, media.audio.capture_all)
    if audio is None and video is None and not lenient:
        raise invalid_field(
            "audio or video",
            "The media source selects neither sound nor pictures",
            "Set video_track_id or participant_video, audio.capture_all or audio.routes",
        )
    return MediaSource(video, audio)


def _route(route: pb.AudioRoute, *, lenient: bool) -> AudioRoute:
    try:
        channel = Channel(route.channel)
    except ValueError:
        raise invalid_field(
            "audio route channel", f"There is no audio channel {route.channel}", "Use BOTH, LEFT or RIGHT"
        ) from None
    match route.WhichOneof("match"):
        case "track_id":
            matched, value = RouteMatch.TRACK_ID, route.track_id
        case "participant_identity":
            matched, value = RouteMatch.PARTICIPANT_IDENTITY, route.participant_identity
        case "participant_kind":
            matched, value = RouteMatch.PARTICIPANT_KIND, str(int(route.participant_kind))
        case _:
            if lenient:
                return AudioRoute(RouteMatch.PARTICIPANT_KIND, "", channel)
            raise invalid_field(
                "audio route match",
                "An audio route does not say whom it is for",
                "Set track_id, participant_identity or participant_kind",
            )
    if not value and not lenient:
        raise invalid_field(f"audio route {matched.value}", f"The {matched.value} of a route is empty", "Give it")
    return AudioRoute(matched, value, channel)


def _only_track(source: MediaSource) -> str:
    if source.video:
        return source.video.track_id
    return source.audio.routes[0].value if source.audio and source.audio.routes else ""


def _v2_outputs(request: pb.StartEgressRequest) -> AskedOutputs:
    outputs = AskedOutputs(websocket_streams=True)
    for output in request.outputs:
        # The blocks inside of segments and images belong to V1.
        uploads = (output.storage, request.storage)
        match output.WhichOneof("config"):
            case "file":
                outputs.files.append((output.file, uploads))
            case "stream":
                outputs.streams.append(output.stream)
            case "segments":
                outputs.segments.append((output.segments, uploads))
            case "images":
                outputs.images.append((output.images, uploads))
            case _:
                raise invalid_field(
                    "output config", "An output does not say what it is", "Set file, stream, segments or images"
                )
    return outputs


# Both


def _kinds(audio_only: bool, video_only: bool) -> tuple[bool, bool]:
    """Whether sound and whether pictures are recorded."""
    if audio_only and video_only:
        raise invalid_field(
            "audio_only and video_only", "Both were asked for", "Set one of them, or none for both kinds"
        )
    return not video_only, not audio_only


def _mixing(number: int) -> AudioMixing:
    try:
        return AudioMixing(number)
    except ValueError:
        names = ", ".join(pb.AudioMixing.keys())
        raise invalid_field("audio_mixing", f"There is no audio mixing {number}", f"Use one of {names}") from None


def _room(layout: str, custom_base_url: str, mixing: AudioMixing, service: Service, *, video: bool) -> Source:
    """A room is drawn by us unless the request or the service names a page that draws it."""
    base_url = custom_base_url or service.template_base
    if not base_url or not (video or layout or custom_base_url):
        return RoomSource(layout, mixing)
    return TemplateSource(base_url, layout)


def _encoding(request: _Composite | pb.StartEgressRequest) -> tuple[EncodingWish, int | None]:
    name = (
        request.WhichOneof("encoding") if isinstance(request, pb.StartEgressRequest) else request.WhichOneof("options")
    )
    match name:
        case "preset":
            return wish_of_preset(request.preset), request.preset
        case "advanced":
            return wish_of_options(request.advanced), None
        case _:
            return EncodingWish(), None


def _webhooks(messages: Sequence[models.WebhookConfig]) -> tuple[Webhook, ...]:
    return tuple(
        Webhook(
            message.url,
            message.signing_key,
            tuple(message.filter_params.include_events),
            tuple(message.filter_params.exclude_events),
        )
        for message in messages
    )
