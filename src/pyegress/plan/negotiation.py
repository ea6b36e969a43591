"""Which codecs and which container: what is asked for, cut down to what every output takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from pyegress.plan.containers import Container, Encodable, Live
from pyegress.plan.encodings import AudioCodec, EncodingWish, VideoCodec
from pyegress.plan.refusals import holds_none, incompatible, no_compatible_codec, no_compatible_file_type

#: Which container the default file type means, the first that fits.
_DEFAULT_WITH_VIDEO: tuple[Container, ...] = (Container.MP4, Container.WEBM)
_DEFAULT_OPEN_CODECS: tuple[Container, ...] = (Container.WEBM, Container.MP4)
_DEFAULT_AUDIO: tuple[Container, ...] = (Container.OGG, Container.MP4, Container.MP3, Container.WAV, Container.FLAC)
#: What encoders a stream leaves no choice of.
_FORCED = {
    Live.RTMP: (AudioCodec.AAC, VideoCodec.H264),
    Live.SRT: (AudioCodec.AAC, VideoCodec.H264),
    Live.WEBSOCKET: (AudioCodec.PCM, None),
}
_REMEDY = "Leave the codec out, or change the type of the output"

_C = TypeVar("_C", AudioCodec, VideoCodec)


class FileType(Enum):
    """`EncodedFileType`."""

    DEFAULT = None
    MP4 = Container.MP4
    OGG = Container.OGG
    MP3 = Container.MP3


@dataclass(frozen=True, slots=True)
class FileChoice:
    """What is known of the container of a file: its type, and the container that its name decides, if any."""

    type: FileType
    named: Container | None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The outcome; None for what is not recorded, or for no file."""

    audio: AudioCodec | None
    video: VideoCodec | None
    container: Container | None


def negotiate(
    *,
    audio: bool,
    video: bool,
    wish: EncodingWish,
    file: FileChoice | None,
    live: Sequence[Live],
    webm_codec: VideoCodec = VideoCodec.VP8,
) -> Negotiated:
    """Find codecs that every output takes. `live` are the outputs beside the file: segments first, then streams.

    Raises InvalidRequest: `incompatible` when a codec was asked for or forced by a stream, else that there is none.
    """
    asked_audio, asked_video = wish.audio_codec, wish.video_codec
    for output in live:
        forced_audio, forced_video = _FORCED.get(output, (None, None))
        asked_audio, asked_video = forced_audio or asked_audio, forced_video or asked_video
    rows = [output.value for output in live]
    container = file.type.value if file else None
    if container:
        rows.insert(0, _row(container, webm_codec))
    audio_left = _common("audio", asked_audio, list(AudioCodec), rows) if audio else []
    video_left = _common("video", asked_video, list(VideoCodec), rows) if video else []
    if file and container is None:
        container = _default_container(file.named, audio_left, video_left, audio=audio, video=video)
        row = _row(container, webm_codec)
        rows.insert(0, row)
        audio_left = [codec for codec in audio_left if codec in row.audio]
        video_left = [codec for codec in video_left if codec in row.video]
    return Negotiated(
        _choose(audio_left, [row.audio for row in rows]) if audio else None,
        _choose(video_left, [row.video for row in rows]) if video else None,
        container,
    )


def _row(container: Container, webm_codec: VideoCodec) -> Encodable:
    row = container.takes
    if container is not Container.WEBM:
        return row
    return replace(row, video=(webm_codec, *(codec for codec in row.video if codec is not webm_codec)))


def _common(what: str, asked: _C | None, every: list[_C], rows: Sequence[Encodable]) -> list[_C]:
    left = [asked] if asked else every
    for row in rows:
        taken: tuple[object, ...] = row.audio if what == "audio" else row.video
        left = [codec for codec in left if codec in taken]
        if left:
            continue
        if asked:
            raise incompatible(row.name, asked.value, field=f"{what}_codec", remedy=_REMEDY)
        if not taken:
            raise holds_none(what, row.name)
        raise no_compatible_codec(what, " and ".join(row.name for row in rows))
    return left


def _default_container(
    named: Container | None,
    audio_left: Sequence[AudioCodec],
    video_left: Sequence[VideoCodec],
    *,
    audio: bool,
    video: bool,
) -> Container:
    def fits(container: Container) -> bool:
        row = container.takes
        return not (audio and not set(audio_left) & set(row.audio)) and not (
            video and not set(video_left) & set(row.video)
        )

    if not video:
        order = _DEFAULT_AUDIO
    elif VideoCodec.H264 in video_left:
        order = _DEFAULT_WITH_VIDEO
    else:
        order = _DEFAULT_OPEN_CODECS
    candidates = ((named,) if named else ()) + order
    found = next((container for container in candidates if fits(container)), None)
    if found is None:
        raise no_compatible_file_type(", ".join(codec.value for codec in (*audio_left, *video_left)))
    return found


def _choose(left: Sequence[_C], rows: Sequence[Sequence[object]]) -> _C:
    """The first output whose own default is still allowed decides."""
    for row in rows:
        for codec in left:
            if row and codec is row[0]:
                return codec
    return left[0]
