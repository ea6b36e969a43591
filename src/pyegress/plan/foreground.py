"""Plans of encoded recordings in the foreground: their options become the request that they stand for.

So a command line, a program and the service share every check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from livekit.protocol import egress as pb

from pyegress.clock import Wall
from pyegress.errors import InvalidRequest
from pyegress.plan.browser_options import DEFAULT_BROWSER, BrowserOptions
from pyegress.plan.build import plan_recording
from pyegress.plan.containers import Container
from pyegress.plan.copy_plan import DEFAULT_GRACE, DEFAULT_RECONNECT_WINDOW, DEFAULT_WAIT, Connection
from pyegress.plan.encoding_arguments import EncodingArguments, named
from pyegress.plan.encodings import EncodingWish, Hardware, VideoCodec
from pyegress.plan.output_words import HlsWord, OutputsRequest, OutputWord, add_output
from pyegress.plan.recording_plan import FileOutput, RecordingPlan, Service, SessionLimits, Start, Waits
from pyegress.plan.selection import OneTrack
from pyegress.plan.sources import AudioMixing
from pyegress.plan.storage import StorageDefaults
from pyegress.plan.storage_urls import azure_endpoint

#: How texts about requests name the field; options are named on their own.
_FIELD_NOTE = ": request has missing or invalid field:"
#: The field of the refusal that no container holds the codecs.
NO_FILE_TYPE = "output type"
#: Fields of requests by the option that sets them, where the names differ.
_OPTIONS = {
    "framerate": "fps",
    "token or api key/secret": "room",
    **dict.fromkeys(
        (
            *("filepath", "file_type", "filename_prefix", "live_playlist_name"),
            *("multiple file outputs", "multiple segmented file outputs", "multiple stream outputs"),
            *("live_playlist_name must be in same directory as playlist_name", "output"),
            *("live_playlist_name cannot be identical to playlist_name", "audio_only images"),
            *("stream url", "stream protocol", "url", "passthrough output"),
        ),
        "output",
    ),
    "web url": "url",
    "template base url": "custom_base_url",
}
AUDIO_MIXINGS = {mixing.name.lower().replace("_", "-"): mixing for mixing in AudioMixing}


@dataclass(frozen=True, slots=True)
class Session:
    """What all recordings in the foreground are told. Seconds and bytes; None is without limit.

    `wait` is for the room and, where it ends a recording, for its source. `connection` is None for pages.
    """

    connection: Connection | None
    outputs: tuple[OutputWord, ...]
    at: Wall
    egress_id: str
    duration: float | None = None
    max_file_size: int | None = None
    wait: float | None = DEFAULT_WAIT
    grace: float = DEFAULT_GRACE
    reconnect_window: float = DEFAULT_RECONNECT_WINDOW
    overwrite: bool = False
    browser: BrowserOptions = DEFAULT_BROWSER
    #: Credentials of buckets.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("duration", self.duration), ("wait", self.wait), ("max_file_size", self.max_file_size)):
            if value is not None and not value > 0:
                raise InvalidRequest(
                    f"The {name.replace('_', ' ')} must be more than 0", field=name, remedy="Leave it out for no limit"
                )
        for name, value in (("grace", self.grace), ("reconnect_window", self.reconnect_window)):
            if not value >= 0:
                raise InvalidRequest(
                    f"The {name.replace('_', ' ')} must be 0 seconds or more",
                    field=name,
                    remedy="Give a number of seconds",
                )


def plan_room(
    session: Session,
    encoding: EncodingArguments,
    *,
    layout: str = "",
    audio_only: bool = False,
    video_only: bool = False,
    audio_mixing: str = "",
    custom_base_url: str = "",
) -> RecordingPlan:
    """A RoomComposite. `audio_mixing` is a name of `AudioMixing` in any case; `custom_base_url` a page that draws it.

    Raises InvalidRequest.
    """
    mixing = named("audio_mixing", audio_mixing, AUDIO_MIXINGS) or AudioMixing.DEFAULT
    _check_kinds(encoding, audio_only=audio_only, video_only=video_only)
    if audio_only and layout and not custom_base_url:
        raise InvalidRequest(
            "The option layout makes no sense: no video is recorded", field="layout", remedy="Leave it out"
        )
    if video_only and mixing is not AudioMixing.DEFAULT:
        raise InvalidRequest(
            "The option audio_mixing makes no sense: no audio is recorded", field="audio_mixing", remedy="Leave it out"
        )
    request = pb.RoomCompositeEgressRequest(
        room_name=_room(session),
        # Named, because a grid by name makes room for a screen share.
        layout=layout or ("" if audio_only or custom_base_url else "grid"),
        custom_base_url=custom_base_url,
        audio_only=audio_only,
        video_only=video_only,
        audio_mixing=mixing.value,  # type: ignore[arg-type]
    )
    return _planned(request, session, encoding)


def plan_participant(
    session: Session, encoding: EncodingArguments, *, identity: str, screen_share: bool = False
) -> RecordingPlan:
    """A Participant egress. Raises InvalidRequest."""
    request = pb.ParticipantEgressRequest(room_name=_room(session), identity=identity, screen_share=screen_share)
    return _planned(request, session, encoding)


def plan_track_composite(
    session: Session, encoding: EncodingArguments, *, audio_track_id: str = "", video_track_id: str = ""
) -> RecordingPlan:
    """A TrackComposite egress. Raises InvalidRequest."""
    if not audio_track_id:
        encoding.require_none_of("audio")
    if not video_track_id:
        encoding.require_none_of("video")
    request = pb.TrackCompositeEgressRequest(
        room_name=_room(session), audio_track_id=audio_track_id, video_track_id=video_track_id
    )
    return _planned(request, session, encoding)


def plan_track_sound(session: Session, selection: OneTrack, url: str) -> RecordingPlan:
    """The sound of one track to a WebSocket, as a Track egress sends it. Raises InvalidRequest."""
    request = pb.TrackEgressRequest(
        room_name=_room(session),
        # Requests know tracks by their ids only.
        track_id=selection.track_id or str(selection),
        websocket_url=url,
    )
    return replace(_request_plan(request, session, EncodingArguments()), source=selection)


def plan_web(
    session: Session,
    encoding: EncodingArguments,
    *,
    url: str,
    audio_only: bool = False,
    video_only: bool = False,
    await_start_signal: bool = False,
) -> RecordingPlan:
    """A Web egress. Raises InvalidRequest."""
    _check_kinds(encoding, audio_only=audio_only, video_only=video_only)
    request = pb.WebEgressRequest(
        url=url, audio_only=audio_only, video_only=video_only, await_start_signal=await_start_signal
    )
    return _planned(request, session, encoding)


def _check_kinds(encoding: EncodingArguments, *, audio_only: bool, video_only: bool) -> None:
    """What is asked of the encoders makes sense for something that is drawn and mixed."""
    if encoding.copies:
        raise InvalidRequest(
            "A layout and a mix have to be encoded, and the preset passthrough copies packets",
            field="preset",
            remedy="Choose another preset, or record participants or tracks",
        )
    if audio_only and video_only:
        raise InvalidRequest(
            "The options audio_only and video_only exclude each other", field="audio_only", remedy="Give one of them"
        )
    if audio_only:
        encoding.require_none_of("video")
    if video_only:
        encoding.require_none_of("audio")


def _room(session: Session) -> str:
    assert session.connection is not None
    return session.connection.room


def _planned(
    request: OutputsRequest,
    session: Session,
    encoding: EncodingArguments,
) -> RecordingPlan:
    for word in session.outputs:
        add_output(request, word, session.environment)
    if encoding.preset_number is not None:
        request.preset = pb.EncodingOptionsPreset.Name(encoding.preset_number)  # type: ignore[assignment]
    return _request_plan(request, session, encoding)


def _request_plan(
    request: OutputsRequest | pb.TrackEgressRequest, session: Session, encoding: EncodingArguments
) -> RecordingPlan:
    connection = session.connection
    start = Start(
        egress_id=session.egress_id,
        at=session.at,
        token=connection.token if connection else "",
        encoding=encoding.wish,
    )
    service = Service(
        ws_url=connection.url if connection else "",
        api_key=connection.api_key if connection else "",
        api_secret=connection.api_secret if connection else "",
        any_extension=True,
        storage=StorageDefaults(azure_endpoint=azure_endpoint(session.environment)),
        websocket_streams=True,
        overwrite=session.overwrite,
        limits=_limits(session),
        hls_part=max((word.part for word in session.outputs if isinstance(word, HlsWord)), default=0.0),
        waits=Waits(
            tracks=session.wait,
            participant=session.wait,
            grace=session.grace,
            reconnect=session.reconnect_window,
            room=session.wait,
            start_signal=session.wait,
        ),
        browser=session.browser,
    )
    plan = _plan(request, start, service)
    if plan.passthrough and service.hls_part:
        raise InvalidRequest(
            "Low latency parts need an encoder: the pictures of copies come when they come",
            field="output",
            remedy="Leave part= out, or let the recording be encoded",
        )
    _check_used(encoding, plan)
    return plan


def _plan(request: OutputsRequest | pb.TrackEgressRequest, start: Start, service: Service) -> RecordingPlan:
    try:
        plan = plan_recording(request, start, service)
    except InvalidRequest as error:
        if error.field == NO_FILE_TYPE:
            raise _no_container(start.encoding) from None
        raise InvalidRequest(
            error.message.partition(_FIELD_NOTE)[0],
            field=_OPTIONS.get(error.field, error.field),
            remedy=error.remedy,
            code=error.code,
        ) from None
    for file in request.file_outputs if not isinstance(request, pb.TrackEgressRequest) else ():
        _check_extension(file.filepath, plan)
    return plan


def _limits(session: Session) -> SessionLimits:
    seconds = session.duration or 0.0
    return SessionLimits(
        file=seconds, stream=seconds, segment=seconds, image=seconds, file_size=session.max_file_size or 0
    )


def _check_used(encoding: EncodingArguments, plan: RecordingPlan) -> None:
    """Nothing was asked of an encoder that the file has no use for."""
    if plan.passthrough:
        encoding.require_none_for_copies()
        return
    if plan.video is None:
        encoding.require_none_of("video")
    elif encoding.wish.hardware is Hardware.NVENC and plan.video.codec is not VideoCodec.H264:
        raise InvalidRequest(
            f"The option hardware makes no sense: {plan.video.codec.codec.label} is encoded by the processor",
            field="hardware",
            remedy="Leave it out, or choose H.264",
        )
    if plan.audio is None:
        encoding.require_none_of("audio")
    elif plan.audio.codec.lossless and encoding.audio_bitrate:
        raise InvalidRequest(
            f"The option audio_bitrate makes no sense: {plan.audio.codec.codec.label} is lossless",
            field="audio_bitrate",
            remedy="Leave it out, or choose another codec",
        )


def _check_extension(asked: str, plan: RecordingPlan) -> None:
    """Whoever types an extension means it: another container behind its back is no answer."""
    extension = Container.from_path(asked)
    output = next((output for output in plan.outputs if isinstance(output, FileOutput)), None)
    if plan.passthrough or extension is None or output is None or output.container is extension:
        return  # the codecs of copies decide, once they are known
    assert output.container is not None
    encodings = [encoding for encoding in (plan.video, plan.audio) if encoding is not None]
    held = " and ".join(encoding.codec.codec.label for encoding in encodings)
    sound_only = plan.video is not None and extension.value.audio_only
    raise InvalidRequest(
        f"{asked} cannot hold {'pictures' if sound_only else held}",
        field="output",
        remedy=f"Name the file *{output.container.extension}, or record sound alone"
        if sound_only
        else f"Name the file *{output.container.extension}, or choose another codec",
    )


def _no_container(wish: EncodingWish) -> InvalidRequest:
    """No file holds what was asked for together."""
    audio, video = wish.audio_codec, wish.video_codec
    sound = audio.codec.label if audio else "sound"
    return InvalidRequest(
        f"No kind of file holds {sound} beside {video.codec.label if video else 'pictures'}",
        field="audio_codec" if audio else "video_codec",
        remedy="Leave the codec to the file, or choose another one",
    )
