"""The V2 request, checked and as a form."""

from __future__ import annotations

from livekit.protocol import egress as pb

from pyegress.plan.encodings import PASSTHROUGH
from pyegress.plan.form import (
    Form,
    asked_encoding,
    recorded_kinds,
    room_source,
    webhooks_of,
)
from pyegress.plan.output_options import AskedOutputs
from pyegress.plan.recording_plan import RequestType, Service, Start
from pyegress.plan.refusals import invalid_field
from pyegress.plan.sources import (
    AudioMixing,
    AudioRoute,
    AudioSelection,
    Channel,
    MediaSource,
    PageSource,
    RouteMatch,
    Source,
    VideoSelection,
)


def start_egress_form(request: pb.StartEgressRequest, start: Start, service: Service) -> Form:
    room_name = request.room_name or start.room_name
    identity = track_id = ""
    source: Source
    match request.WhichOneof("source"):
        case "template":
            type_, template = RequestType.TEMPLATE, request.template
            audio, video = recorded_kinds(template.audio_only, template.video_only)
            source = room_source(template.layout, template.custom_base_url, AudioMixing.DEFAULT, service, video=video)
        case "web":
            type_, room_name = RequestType.WEB, ""
            source = PageSource(request.web.url, request.web.await_start_signal)
            audio, video = recorded_kinds(request.web.audio_only, request.web.video_only)
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
    encoding, preset = asked_encoding(request)
    return Form(
        type=type_,
        source=source,
        room_name=room_name,
        audio=audio,
        video=video,
        encoding=encoding,
        preset=preset,
        outputs=_v2_outputs(request),
        webhooks=webhooks_of(request.webhooks),
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
                outputs.unknown += 1
    return outputs
