"""Which container holds which codec, and which file extension means which container: the one table."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from enum import Enum

from pyegress.codecs import Codec, Kind
from pyegress.plan.encodings import AudioCodec, VideoCodec


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """`extensions` are in lower case with the dot, the preferred one first; `codecs` those it can hold as copies.

    `audio` and `video` are what is encoded into it, the default first.
    """

    label: str
    extensions: tuple[str, ...]
    content_type: str
    codecs: frozenset[Codec]
    #: How many tracks of one kind fit.
    audio_only: bool = False
    audio: tuple[AudioCodec, ...] = ()
    video: tuple[VideoCodec, ...] = ()


@dataclass(frozen=True, slots=True)
class Encodable:
    """What one output takes from encoders, the default first. `name` is the output in error texts.

    `copies` are the codecs of rooms that it takes as they were published.
    """

    name: str
    audio: tuple[AudioCodec, ...]
    video: tuple[VideoCodec, ...]
    copies: frozenset[Codec] = frozenset()


class Container(Enum):
    """A file format that recordings are written in."""

    MP4 = ContainerInfo(
        "MP4",
        (".mp4", ".m4v", ".m4a", ".mov"),
        "video/mp4",
        frozenset({Codec.H264, Codec.H265, Codec.AV1, Codec.OPUS, Codec.VP9}),
        audio=(AudioCodec.AAC, AudioCodec.OPUS),
        video=(VideoCodec.H264, VideoCodec.AV1, VideoCodec.VP9),
    )
    WEBM = ContainerInfo(
        "WebM",
        (".webm", ".mkv"),
        "video/webm",
        frozenset({Codec.VP8, Codec.VP9, Codec.AV1, Codec.OPUS}),
        audio=(AudioCodec.OPUS,),
        video=(VideoCodec.VP8, VideoCodec.VP9, VideoCodec.AV1),
    )
    OGG = ContainerInfo(
        "Ogg",
        (".ogg", ".opus", ".oga"),
        "audio/ogg",
        frozenset({Codec.OPUS}),
        audio_only=True,
        audio=(AudioCodec.OPUS,),
    )
    WAV = ContainerInfo(
        "WAV",
        (".wav",),
        "audio/wav",
        frozenset({Codec.PCMU, Codec.PCMA}),
        audio_only=True,
        audio=(AudioCodec.PCM,),
    )
    MP3 = ContainerInfo("MP3", (".mp3",), "audio/mpeg", frozenset(), audio_only=True, audio=(AudioCodec.MP3,))
    FLAC = ContainerInfo("FLAC", (".flac",), "audio/flac", frozenset(), audio_only=True, audio=(AudioCodec.FLAC,))

    def __repr__(self) -> str:
        return f"Container.{self.name}"

    @property
    def label(self) -> str:
        return self.value.label

    def holds(self, codec: Codec) -> bool:
        """Whether a copy of the codec fits."""
        return codec in self.value.codecs

    def writes(self, codec: Codec) -> bool:
        """Whether a stream of the codec fits, copied or encoded."""
        encoded = [made.codec for made in self.value.audio] + [made.codec for made in self.value.video]
        return self.holds(codec) or codec in encoded

    @property
    def extension(self) -> str:
        """The preferred extension, with the dot."""
        return self.value.extensions[0]

    @property
    def takes(self) -> Encodable:
        """What is encoded into it."""
        return Encodable(self.value.content_type, self.value.audio, self.value.video)

    @classmethod
    def from_path(cls, path: str) -> Container | None:
        """The container that the extension of `path` names, None without a known one."""
        lowered = path.lower()
        for container in cls:
            if lowered.endswith(container.value.extensions):
                return container
        return None


class Live(Enum):
    """What outputs that are not one file take from encoders."""

    HLS = Encodable("application/x-mpegurl", (AudioCodec.AAC,), (VideoCodec.H264,), frozenset({Codec.H264}))
    HLS_FMP4 = Encodable(
        "application/x-mpegurl",
        (AudioCodec.AAC, AudioCodec.OPUS),
        (VideoCodec.H264, VideoCodec.AV1, VideoCodec.VP9),
        frozenset({Codec.H264, Codec.H265, Codec.AV1, Codec.VP9, Codec.OPUS}),
    )
    RTMP = Encodable("rtmp", (AudioCodec.AAC,), (VideoCodec.H264,), frozenset({Codec.H264}))
    SRT = Encodable("srt", (AudioCodec.AAC,), (VideoCodec.H264,), frozenset({Codec.H264, Codec.H265}))
    WEBSOCKET = Encodable("websocket", (AudioCodec.PCM,), ())

    @property
    def label(self) -> str:
        """What people call it."""
        return _LIVE_LABELS[self]


_LIVE_LABELS = {
    Live.HLS: "MPEG-TS segments",
    Live.HLS_FMP4: "fMP4 segments",
    Live.RTMP: "RTMP",
    Live.SRT: "SRT",
    Live.WEBSOCKET: "WebSocket",
}


#: Files that belong to an output of many: extension and content type.
PLAYLIST = (".m3u8", "application/x-mpegurl")
SEGMENT_TS = (".ts", "video/mp2t")
SEGMENT_FMP4 = (".m4s", "video/mp4")
IMAGE_JPEG = (".jpeg", "image/jpeg")
IMAGE_PNG = (".png", "image/png")
IMAGE_WEBP = (".webp", "image/webp")
MANIFEST = (".json", "application/json")

_CONTENT_TYPES = {
    ending: container.value.content_type for container in Container for ending in container.value.extensions
}
_CONTENT_TYPES |= dict((PLAYLIST, SEGMENT_TS, SEGMENT_FMP4, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP, MANIFEST))


def content_type(name: str) -> str:
    """What an object of this name is, by its extension."""
    return _CONTENT_TYPES.get(posixpath.splitext(name)[1].lower(), "application/octet-stream")


#: What a name may end in that is replaced when the output is of another kind. Any other ending is part of the name.
KNOWN_EXTENSIONS = frozenset(
    {container.extension for container in Container} | {PLAYLIST[0], SEGMENT_TS[0], IMAGE_JPEG[0], ".raw", ".ivf"}
)

#: The container of a copy when the path names none (Track egress).
DEFAULT_CONTAINER = {
    Codec.H264: Container.MP4,
    Codec.H265: Container.MP4,
    Codec.AV1: Container.MP4,
    Codec.VP8: Container.WEBM,
    Codec.VP9: Container.WEBM,
    Codec.OPUS: Container.OGG,
    Codec.PCMU: Container.WAV,
    Codec.PCMA: Container.WAV,
}


def container_for(codecs: frozenset[Codec]) -> Container | None:
    """The container for a copy of all `codecs` in one file, None when no container holds them together.

    Video decides (H.264 wants MP4, VP8 and VP9 want WebM); without video the default of the audio codec.
    """
    preferred = sorted(codecs, key=lambda codec: codec.kind is not Kind.VIDEO)
    for codec in preferred:
        if all(DEFAULT_CONTAINER[codec].holds(other) for other in codecs):
            return DEFAULT_CONTAINER[codec]
    for container in Container:
        if all(container.holds(codec) for codec in codecs):
            return container
    return None
