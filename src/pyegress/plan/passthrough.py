"""The preset PASSTHROUGH: which requests may ask for copies of the packets instead of an encoding."""

from __future__ import annotations

from livekit.protocol import egress as pb

from pyegress.codecs import Codec
from pyegress.errors import InvalidRequest
from pyegress.plan.containers import Live
from pyegress.plan.form import EgressRequest, Form
from pyegress.plan.negotiation import FileType
from pyegress.plan.output_options import ReadOutputs
from pyegress.plan.recording_plan import RequestType, SegmentFormat, SegmentOutput, StreamOutput, WebsocketOutput
from pyegress.plan.refusals import invalid_field
from pyegress.plan.stream_urls import StreamProtocol

_SINGLE = "Name one track by its id, and outputs without images, a file without a type"
#: Segments and streams in the table of codecs.
FORMATS = {SegmentFormat.MPEG_TS: Live.HLS, SegmentFormat.FMP4: Live.HLS_FMP4}
PROTOCOLS = {StreamProtocol.RTMP: Live.RTMP, StreamProtocol.SRT: Live.SRT, StreamProtocol.WEBSOCKET: Live.WEBSOCKET}
#: V1 forms that can be copied.
_COPYABLE = (RequestType.PARTICIPANT, RequestType.TRACK_COMPOSITE)


def check_passthrough(request: EgressRequest, form: Form, outputs: ReadOutputs) -> None:
    """Raise InvalidRequest when the request asks for copies of what has to be encoded."""
    if isinstance(request, pb.StartEgressRequest):
        _check_v2(request)
    elif form.type not in _COPYABLE:
        raise invalid_field(
            "preset",
            "PASSTHROUGH copies tracks, and this request draws or mixes them",
            "Use another preset, or a Participant, TrackComposite or Track egress",
        )
    _check_outputs(outputs)


def _check_v2(request: pb.StartEgressRequest) -> None:
    if request.WhichOneof("source") != "media":
        raise _refused("source", "Only tracks can be copied, and the source is a page or a layout")
    media = request.media
    video = media.WhichOneof("video")
    if video == "participant_video":
        raise _refused("participant_video", "Copies need the id of the video track")
    if video == "video_track_id" and not media.video_track_id:
        raise _refused("video_track_id", "The video track id is empty")
    audio = media.audio
    if audio.capture_all:
        raise _refused("capture_all", "Copies cannot be mixed")
    if len(audio.routes) > 1:
        raise _refused("audio routes", "Copies cannot be mixed")
    for route in audio.routes:
        if route.WhichOneof("match") != "track_id":
            raise _refused("audio route match", "Copies need the id of the audio track")
        if not route.track_id:
            raise _refused("audio route track_id", "The audio track id is empty")
    if bool(video) == bool(audio.routes):
        raise _refused("track_id", f"{'Two tracks were' if video else 'No track was'} named")
    files = [output.file for output in request.outputs if output.WhichOneof("config") == "file"]
    if any(file.file_type != pb.EncodedFileType.DEFAULT_FILETYPE for file in files):
        raise _refused("file_type", "The codec of the track decides the file type")


def _check_outputs(outputs: ReadOutputs) -> None:
    """What no codec of a room fits into is refused now; the rest when the codecs are known."""
    if outputs.images:
        raise _refused("output", "Images cannot be made without decoding", "Leave the images out, or another preset")
    if isinstance(outputs.stream, WebsocketOutput):
        cause = "Sound for WebSockets is decoded"
        raise _refused("output", cause, "Use a Track egress, or another preset")
    if outputs.file is not None and outputs.file.type is FileType.MP3:
        raise _refused("file_type", "No track of a room is MP3", "Leave the file type out, or use another preset")


def live_of(output: SegmentOutput | StreamOutput) -> Live:
    """What an output is in the table of codecs."""
    return FORMATS[output.format] if isinstance(output, SegmentOutput) else PROTOCOLS[output.protocol]


def needs_aac(outputs: ReadOutputs) -> bool:
    """Whether an output takes no sound of a room as it is: then all but the file get it encoded."""
    live = [output for output in (outputs.segments, outputs.stream) if isinstance(output, SegmentOutput | StreamOutput)]
    return any(Codec.OPUS not in live_of(output).value.copies for output in live)


def no_copies(codec: Codec, live: Live) -> InvalidRequest:
    """An output that a published codec does not fit into."""
    fitting = " or ".join(sorted(each.label for each in live.value.copies if each.kind is codec.kind))
    return InvalidRequest(
        f"Copies of {codec.label} do not fit into {live.label}, format {live.value.name} incompatible with codec "
        f"{codec.mime.lower()}",
        field="preset",
        remedy=f"Publish {fitting}, or use another preset, which encodes" if fitting else "Use another preset",
    )


def _refused(token: str, cause: str, remedy: str = _SINGLE) -> InvalidRequest:
    return invalid_field(f"passthrough {token}", cause, remedy)
