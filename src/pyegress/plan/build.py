"""From a request to its plan: form, encoding, outputs, passthrough, connection, codecs; the first failure wins."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TypeVar

from pyegress.errors import InvalidRequest
from pyegress.plan.containers import Container, Live
from pyegress.plan.copy_plan import Connection
from pyegress.plan.encoding_options import check_sample_rate, check_wish
from pyegress.plan.encodings import (
    AudioCodec,
    AudioEncoding,
    EncodingWish,
    VideoEncoding,
    audio_encoding,
    video_encoding,
)
from pyegress.plan.file_names import file_name, named_container
from pyegress.plan.form import EgressRequest, Form
from pyegress.plan.negotiation import FileChoice, negotiate
from pyegress.plan.output_names import Naming
from pyegress.plan.output_options import FileWish, ReadOutputs, images_need_video, only_sound, read_outputs
from pyegress.plan.passthrough import FORMATS, PROTOCOLS, check_passthrough, needs_aac
from pyegress.plan.recording_plan import (
    FileOutput,
    Output,
    RecordingPlan,
    RequestType,
    SegmentFormat,
    SegmentOutput,
    Service,
    SessionLimits,
    Start,
    StreamOutput,
    WebsocketOutput,
)
from pyegress.plan.refusals import invalid_field, invalid_url
from pyegress.plan.request_forms import read_form
from pyegress.plan.selection import OneTrack
from pyegress.plan.storage import LocalStorage
from pyegress.plan.websocket_format import SoundEncoding, websocket_format

_Number = TypeVar("_Number", int, float)


def plan_recording(request: EgressRequest, start: Start, service: Service) -> RecordingPlan:
    """The plan of `request`. Raises InvalidRequest, or EgressError with another code, with the field that is wrong."""
    if not start.egress_id:
        raise invalid_field("egressID", "The egress has no id", "Give the id that the server made, EG_…")
    form = read_form(request, start, service)
    wish = start.encoding.over(form.encoding).over(service.encoding)
    if not form.passthrough:
        check_wish(wish)
    naming = _naming(form, start)
    asks_copies = form.preset is not None and form.passthrough
    form.outputs.websocket_streams |= service.websocket_streams
    outputs = read_outputs(form.outputs, naming, service.storage, video=form.video or (form.v2 and asks_copies))
    if asks_copies:
        check_passthrough(request, form, outputs)
    if isinstance(outputs.stream, WebsocketOutput):
        outputs = replace(outputs, stream=_sound_formats(outputs.stream, form, service))
    connection = None if form.type is RequestType.WEB else _connection(form, start, service)
    audible, visible = _kinds(form, outputs, service)
    form = replace(form, audio=audible, video=visible)
    audio, video = None, None
    # A WebSocket gets decoded sound, also from a Track egress.
    copies = form.passthrough and not isinstance(outputs.stream, WebsocketOutput)
    if copies:
        audio, planned = _copied(form, outputs, wish, service)
    else:
        audio, video, planned = _encoded(form, outputs, wish, service)
    rules = [rule for rule in service.limits.rules if rule.fits(form.type, form.room_name)]
    sizes = (service.limits.file_size, *(rule.file_size for rule in rules)) if outputs.file else ()
    return RecordingPlan(
        egress_id=start.egress_id,
        type=form.type,
        source=form.source,
        connection=connection,
        room_name=form.room_name,
        room_id=start.room_id,
        started_at=start.at,
        with_audio=form.audio,
        with_video=form.video,
        audio=audio,
        video=video,
        outputs=planned,
        naming=naming,
        webhooks=form.webhooks,
        backup=service.storage.backup,
        passthrough=copies,
        max_duration=_least(*_durations(outputs, service.limits), *(rule.duration for rule in rules)),
        max_file_size=_least(*sizes),
        waits=service.waits,
        retry_count=start.retry_count,
        overwrite=service.overwrite,
        browser=service.browser,
    )


def _sound_formats(output: WebsocketOutput, form: Form, service: Service) -> WebsocketOutput:
    """The output with the configured format. Packets as published can only be those of one track."""
    for target in output.destinations:
        refuse = partial(invalid_url, target.shown)
        wanted, _ = websocket_format(target.url, service.websocket, refuse)
        if wanted.encoding is SoundEncoding.OPUS and not isinstance(form.source, OneTrack):
            raise refuse("only the packets of one track can be sent as they are", "Use a Track egress, or pcm_s16le")
    return replace(output, format=service.websocket)


def _naming(form: Form, start: Start) -> Naming:
    # Without a name the room tells its own after joining.
    room = "web" if form.type is RequestType.WEB else form.room_name or "{room_name}"
    return Naming.at(
        start.at,
        subject=form.track_id or room,
        retry=start.retry_count,
        room_name=form.room_name,
        room_id=start.room_id if form.room_name else "",
        publisher_identity=form.identity,
        track_id=form.track_id,
    )


def _connection(form: Form, start: Start, service: Service) -> Connection:
    if not start.token and not (form.room_name and service.api_key and service.api_secret):
        cause = "No room was named" if service.api_key and service.api_secret else "This service has no API key"
        raise invalid_field(
            "token or api key/secret",
            f"The room cannot be joined without a token. {cause}",
            "Name the room and configure api_key and api_secret, or send a token with the request",
        )
    url = start.ws_url or service.ws_url
    try:
        return Connection(
            url=url,
            room=form.room_name,
            api_key="" if start.token else service.api_key,
            api_secret="" if start.token else service.api_secret,
            token=start.token,
        )
    except InvalidRequest as error:
        raise invalid_field("ws_url", error.message, "Configure ws_url as ws://HOST:PORT or wss://HOST") from None


def _kinds(form: Form, outputs: ReadOutputs, service: Service) -> tuple[bool, bool]:
    """Whether sound and whether pictures are recorded, given the outputs that there are."""
    audio, video = form.audio, form.video
    file, images = outputs.file, outputs.images
    if isinstance(outputs.stream, WebsocketOutput) and audio:
        video = False
        if images:
            raise images_need_video()
    if images and not (file or outputs.segments or outputs.stream):
        audio = False
    alone = file and not (images or outputs.segments or outputs.stream)
    # The request has no switch for it: a participant in a file that holds sound only is meant to be heard only.
    if file and alone and form.type is RequestType.PARTICIPANT and audio and only_sound(file, _named(file, service)):
        video = False
    return audio, video


def _named(file: FileWish, service: Service) -> Container | None:
    return named_container(file.path, any_extension=service.any_extension)


def _copied(
    form: Form, outputs: ReadOutputs, wish: EncodingWish, service: Service
) -> tuple[AudioEncoding | None, tuple[Output, ...]]:
    file = outputs.file
    audio = audio_encoding(AudioCodec.AAC, wish, live=False) if form.audio and needs_aac(outputs) else None
    if audio is not None:
        check_sample_rate(audio)
    planned = (
        FileOutput(file.path, file.type.value, file.storage, file.manifest, service.any_extension) if file else None
    )
    return audio, _together(planned, outputs)


def _together(file: FileOutput | None, outputs: ReadOutputs) -> tuple[Output, ...]:
    return tuple(output for output in (file, outputs.segments, outputs.stream, *outputs.images) if output is not None)


def _encoded(
    form: Form, outputs: ReadOutputs, wish: EncodingWish, service: Service
) -> tuple[AudioEncoding | None, VideoEncoding | None, tuple[Output, ...]]:
    file, segments, stream = outputs.file, outputs.segments, outputs.stream
    live = [FORMATS[segments.format]] if segments else []
    if stream is not None:
        live.append(PROTOCOLS[stream.protocol] if isinstance(stream, StreamOutput) else Live.WEBSOCKET)
    chosen = negotiate(
        audio=form.audio,
        video=form.video,
        wish=wish,
        file=FileChoice(file.type, _named(file, service)) if file else None,
        live=live,
        webm_codec=service.webm_codec,
    )
    streams = isinstance(stream, StreamOutput)
    if segments and streams and wish.key_frame_interval:
        segments = _cut_with_stream(segments, wish.key_frame_interval)
    if segments and service.hls_part:
        segments = _with_parts(segments, service.hls_part)
    video = audio = None
    if chosen.video:
        video = video_encoding(
            chosen.video,
            wish,
            rtmp_or_srt=streams,
            rtmp=Live.RTMP in live,
            segments=segments.duration if segments else 0.0,
        )
    if chosen.audio:
        audio = audio_encoding(chosen.audio, wish, live=Live.WEBSOCKET in live)
        check_sample_rate(audio)
    planned = None
    if file and chosen.container:
        path = file_name(file.path, chosen.container, any_extension=service.any_extension)
        planned = FileOutput(path, chosen.container, file.storage, file.manifest, service.any_extension)
    return audio, video, _together(planned, replace(outputs, segments=segments))


def _cut_with_stream(segments: SegmentOutput, interval: float) -> SegmentOutput:
    """Segments are cut on the key frames that the stream asked for, at least a second apart."""
    return replace(segments, duration=min(max(1, int(interval)), segments.duration))


def _with_parts(segments: SegmentOutput, part: float) -> SegmentOutput:
    """Parts are bytes of a file that grows, so it has to lie where players fetch it."""
    if segments.format is not SegmentFormat.FMP4 or not isinstance(segments.storage, LocalStorage):
        return segments
    return replace(segments, part=min(part, float(segments.duration)))


def _durations(outputs: ReadOutputs, limits: SessionLimits) -> tuple[float, ...]:
    return (
        limits.file if outputs.file else 0.0,
        limits.segment if outputs.segments else 0.0,
        limits.stream if outputs.stream else 0.0,
        limits.image if outputs.images else 0.0,
    )


def _least(*limits: _Number) -> _Number | None:
    """The least of those that are limits at all."""
    return min((limit for limit in limits if limit > 0), default=None)
