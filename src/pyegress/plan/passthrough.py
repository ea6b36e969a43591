"""The preset PASSTHROUGH: which requests may ask for copies of the packets instead of an encoding."""

from __future__ import annotations

from livekit.protocol import egress as pb

from pyegress.errors import Code, InvalidRequest
from pyegress.plan.form import EgressRequest, Form
from pyegress.plan.negotiation import FileType
from pyegress.plan.output_options import ReadOutputs
from pyegress.plan.recording_plan import RequestType, SegmentFormat
from pyegress.plan.refusals import invalid_field

_SINGLE = "Name one track by its id, and one file output without a file type"
#: V1 forms that can be copied.
_COPYABLE = (RequestType.PARTICIPANT, RequestType.TRACK_COMPOSITE)


def check_passthrough(request: EgressRequest, form: Form, outputs: ReadOutputs) -> None:
    """Raise InvalidRequest when the request asks for copies of what has to be encoded."""
    if isinstance(request, pb.StartEgressRequest):
        _check_v2(request)
    elif form.type in _COPYABLE:
        _check_copies(form, outputs)
    else:
        raise invalid_field(
            "preset",
            "PASSTHROUGH copies tracks, and this request draws or mixes them",
            "Use another preset, or a Participant, TrackComposite or Track egress",
        )


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
    if len(request.outputs) != 1:
        raise _refused("outputs", f"Copies need one output, and there are {len(request.outputs)}")
    output = request.outputs[0]
    if output.WhichOneof("config") != "file":
        raise _refused("output", "Copies go to a file")
    if output.file.file_type != pb.EncodedFileType.DEFAULT_FILETYPE:
        raise _refused("file_type", "The codec of the track decides the file type")


def _check_copies(form: Form, outputs: ReadOutputs) -> None:
    """What no LiveKit codec fits into is refused now; the rest when the codecs are known."""
    if outputs.images:
        raise _refused("output", "Images cannot be made without decoding", "Leave the images out, or another preset")
    if outputs.stream is not None and form.audio:
        cause = "Streams take AAC, and the sound of rooms is Opus or G.711"
        raise _refused("output", cause, "Use another preset for streams")
    if outputs.segments is not None and outputs.segments.format is SegmentFormat.MPEG_TS and form.audio:
        cause = "MPEG-TS segments take AAC, and the sound of rooms is Opus or G.711"
        raise _refused("output", cause, "Use the protocol HLS_FMP4_PROTOCOL, or another preset")
    if outputs.file is not None and outputs.file.type is FileType.MP3:
        raise _refused("file_type", "No track of a room is MP3", "Leave the file type out, or use another preset")
    if outputs.segments is not None or outputs.stream is not None:
        raise InvalidRequest(
            "Copies of the packets go to one file in this version of pyegress: preset PASSTHROUGH",
            field="preset",
            code=Code.UNIMPLEMENTED,
            remedy="Use another preset for segments and streams",
        )


def _refused(token: str, cause: str, remedy: str = _SINGLE) -> InvalidRequest:
    return invalid_field(f"passthrough {token}", cause, remedy)
