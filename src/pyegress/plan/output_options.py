"""The outputs of a request, checked, named and with their storage. What they are encoded with comes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.plan.containers import Container
from pyegress.plan.negotiation import FileType
from pyegress.plan.output_names import Naming, base_name, clean_path, segment_names, taken_twice
from pyegress.plan.recording_plan import (
    ImageFormat,
    ImageOutput,
    NameSuffix,
    SegmentFormat,
    SegmentOutput,
    StreamOutput,
    WebsocketOutput,
)
from pyegress.plan.refusals import invalid_field, invalid_url, no_compatible_codec
from pyegress.plan.storage import Storage, StorageDefaults, Upload, storage_for
from pyegress.plan.stream_updates import MOST_DESTINATIONS, too_many_destinations
from pyegress.plan.stream_urls import SCHEMES, Destination, StreamProtocol, destination, protocol_of, redact_url

DEFAULT_SEGMENT_DURATION = 4
DEFAULT_CAPTURE_INTERVAL = 10

_FILE_TYPES: dict[int, FileType] = {
    pb.EncodedFileType.DEFAULT_FILETYPE: FileType.DEFAULT,
    pb.EncodedFileType.MP4: FileType.MP4,
    pb.EncodedFileType.OGG: FileType.OGG,
    pb.EncodedFileType.MP3: FileType.MP3,
}
_STREAM_PROTOCOLS: dict[int, StreamProtocol] = {
    pb.StreamProtocol.RTMP: StreamProtocol.RTMP,
    pb.StreamProtocol.SRT: StreamProtocol.SRT,
    pb.StreamProtocol.WEBSOCKET: StreamProtocol.WEBSOCKET,
}
_SEGMENT_FORMATS: dict[int, SegmentFormat] = {
    pb.SegmentedFileProtocol.DEFAULT_SEGMENTED_FILE_PROTOCOL: SegmentFormat.MPEG_TS,
    pb.SegmentedFileProtocol.HLS_PROTOCOL: SegmentFormat.MPEG_TS,
    pb.SegmentedFileProtocol.HLS_FMP4_PROTOCOL: SegmentFormat.FMP4,
}
_SEGMENT_SUFFIXES: dict[int, NameSuffix] = {
    pb.SegmentedFileSuffix.INDEX: NameSuffix.INDEX,
    pb.SegmentedFileSuffix.TIMESTAMP: NameSuffix.TIMESTAMP,
}
_IMAGE_SUFFIXES: dict[int, NameSuffix] = {
    pb.ImageFileSuffix.IMAGE_SUFFIX_INDEX: NameSuffix.INDEX,
    pb.ImageFileSuffix.IMAGE_SUFFIX_TIMESTAMP: NameSuffix.TIMESTAMP,
    pb.ImageFileSuffix.IMAGE_SUFFIX_NONE_OVERWRITE: NameSuffix.NONE,
}
_IMAGE_CODECS = (models.ImageCodec.IC_DEFAULT, models.ImageCodec.IC_JPEG)

FileMessage = pb.EncodedFileOutput | pb.FileOutput | pb.DirectFileOutput


@dataclass(slots=True)
class AskedOutputs:
    """The outputs of a request by kind, V1 and V2 alike; storage blocks beside each, the first of which counts."""

    files: list[tuple[FileMessage, tuple[Upload, ...]]] = field(default_factory=list)
    streams: list[pb.StreamOutput] = field(default_factory=list)
    segments: list[tuple[pb.SegmentedFileOutput, tuple[Upload, ...]]] = field(default_factory=list)
    images: list[tuple[pb.ImageOutput, tuple[Upload, ...]]] = field(default_factory=list)
    #: Outputs that do not say what they are (V2).
    unknown: int = 0
    #: Track egress only.
    websocket_url: str | None = None
    #: Whether a stream may go to WebSockets (V2).
    websocket_streams: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        websocket = 0 if self.websocket_url is None else 1
        return len(self.files) + len(self.streams) + len(self.segments) + len(self.images) + self.unknown + websocket


@dataclass(frozen=True, slots=True)
class FileWish:
    """A file whose container is still open. `path` is templated and has no automatic extension yet."""

    path: str
    type: FileType
    storage: Storage
    manifest: bool


@dataclass(frozen=True, slots=True)
class ReadOutputs:
    """The outputs of a request, at most one of each kind but images."""

    file: FileWish | None
    segments: SegmentOutput | None
    stream: StreamOutput | WebsocketOutput | None
    images: tuple[ImageOutput, ...]


def read_outputs(asked: AskedOutputs, naming: Naming, storage: StorageDefaults, *, video: bool) -> ReadOutputs:
    """Check and name the outputs. `video` says whether pictures are recorded, which images need."""
    if asked.count == 0:
        raise invalid_field("output", "The request names no output", "Add a file, segment, stream or image output")
    if asked.unknown:
        raise invalid_field(
            "output config", "An output does not say what it is", "Set file, stream, segments or images in each output"
        )
    for outputs, token in (
        (asked.files, "multiple file outputs"),
        (asked.streams, "multiple stream outputs"),
        (asked.segments, "multiple segmented file outputs"),
    ):
        if len(outputs) > 1:
            raise invalid_field(
                token, f"The request has {len(outputs)} of a kind of output", "Keep one, or start further egresses"
            )
    file = _file(*asked.files[0], naming, storage) if asked.files else None
    stream = _stream(asked.streams[0], asked) if asked.streams else None
    if asked.websocket_url is not None:
        stream = _websocket(asked.websocket_url)
    segments = _segments(*asked.segments[0], naming, storage) if asked.segments else None
    if asked.images and not video:
        raise images_need_video()
    images: list[ImageOutput] = []
    for message, uploads in asked.images:
        images.append(_distinct(_image(message, uploads, naming, storage), images, automatic=_unnamed(message)))
    return ReadOutputs(file, segments, stream, tuple(images))


def _file(message: FileMessage, uploads: tuple[Upload, ...], naming: Naming, storage: StorageDefaults) -> FileWish:
    number = 0 if isinstance(message, pb.DirectFileOutput) else message.file_type
    type_ = _FILE_TYPES.get(number)
    if type_ is None:
        names = ", ".join(pb.EncodedFileType.keys())
        raise invalid_field("output type", f"There is no file type with the number {number}", f"Use one of {names}")
    path = base_name(message.filepath, naming, field="filepath")
    return FileWish(path, type_, storage_for(uploads, storage), not message.disable_manifest)


# Streams


def _stream(message: pb.StreamOutput, asked: AskedOutputs) -> StreamOutput | WebsocketOutput:
    urls = [("", url) for url in message.urls] + [(target.id, target.url) for target in message.destinations]
    protocol = _protocol(message, [url for _, url in urls])
    if protocol is StreamProtocol.WEBSOCKET and not asked.websocket_streams:
        raise _no_websockets(urls[0][1] if urls else "")
    if not urls and (asked.count == 1 or protocol is StreamProtocol.WEBSOCKET):
        raise invalid_field(
            "stream url",
            "The stream has no destination",
            "Give at least one URL; only beside another output may URLs be added later",
        )
    destinations: dict[str, Destination] = {}
    ids: set[str] = set()
    for id_, url in urls:
        if id_ and id_ in ids:
            raise invalid_field("destinations", f"Two destinations have the id {id_!r}", "Give each an id of its own")
        ids.add(id_)
        # One URL twice would be two publishers with one key, who throw each other out.
        destinations.setdefault(url, destination(url, protocol, id=id_))
    if len(destinations) > MOST_DESTINATIONS:
        raise too_many_destinations(len(destinations))
    if protocol is StreamProtocol.WEBSOCKET:
        return WebsocketOutput(tuple(destinations.values()))
    return StreamOutput(protocol, tuple(destinations.values()))


def _protocol(message: pb.StreamOutput, urls: Sequence[str]) -> StreamProtocol:
    if message.protocol != pb.StreamProtocol.DEFAULT_PROTOCOL:
        protocol = _STREAM_PROTOCOLS.get(message.protocol)
        if protocol is None:
            names = ", ".join(pb.StreamProtocol.keys())
            cause = f"There is no stream protocol with the number {message.protocol}"
            raise invalid_field("stream output type", cause, f"Use one of {names}")
        return protocol
    if not urls:
        raise invalid_field(
            "stream protocol", "Neither a protocol nor a URL says what the stream is", "Name the protocol, RTMP or SRT"
        )
    protocol = protocol_of(urls[0])
    return destination(urls[0]).protocol if protocol is None else protocol


def _no_websockets(url: str) -> Exception:
    if not url:
        return invalid_field(
            "stream protocol",
            "Streams of this request cannot go to WebSockets",
            "Use RTMP or SRT, a Track egress, or a V2 request",
        )
    names = ", ".join(f"{name}://" for name, meant in SCHEMES.items() if meant is not StreamProtocol.WEBSOCKET)
    scheme = url.partition("://")[0]
    return invalid_url(redact_url(url), f"invalid scheme {scheme}", f"Use one of {names}, or a V2 request")


def _websocket(url: str) -> WebsocketOutput:
    if not url:
        raise invalid_field("output", "The WebSocket URL is empty", "Give websocket_url as wss://HOST/PATH")
    return WebsocketOutput((destination(url, StreamProtocol.WEBSOCKET),))


# Segments and images


def _segments(
    message: pb.SegmentedFileOutput, uploads: tuple[Upload, ...], naming: Naming, storage: StorageDefaults
) -> SegmentOutput:
    format_ = _SEGMENT_FORMATS.get(message.protocol)
    if format_ is None:
        names = ", ".join(pb.SegmentedFileProtocol.keys())
        cause = f"There is no segment protocol with the number {message.protocol}"
        raise invalid_field("output type", cause, f"Use one of {names}")
    suffix = _SEGMENT_SUFFIXES.get(message.filename_suffix)
    if suffix is None:
        raise _bad_suffix(message.filename_suffix, pb.SegmentedFileSuffix.keys())
    names_ = segment_names(message.filename_prefix, message.playlist_name, message.live_playlist_name, naming)
    return SegmentOutput(
        names=names_,
        format=format_,
        suffix=suffix,
        duration=message.segment_duration or DEFAULT_SEGMENT_DURATION,
        storage=storage_for(uploads, storage),
        manifest=not message.disable_manifest,
    )


def _image(
    message: pb.ImageOutput, uploads: tuple[Upload, ...], naming: Naming, storage: StorageDefaults
) -> ImageOutput:
    if message.image_codec not in _IMAGE_CODECS:
        raise no_compatible_codec("image", f"images of codec {message.image_codec} and JPEG")
    suffix = _IMAGE_SUFFIXES.get(message.filename_suffix)
    if suffix is None:
        raise _bad_suffix(message.filename_suffix, pb.ImageFileSuffix.keys())
    for name, value in (("width", message.width), ("height", message.height)):
        if value < 0:
            raise invalid_field(name, f"Images cannot have a {name} of {value}", "Leave it out for that of the video")
    asked, format_ = _image_format(clean_path(message.filename_prefix))
    prefix = naming.fill(asked)
    return ImageOutput(
        prefix=prefix + naming.automatic if not prefix or prefix.endswith("/") else prefix,
        suffix=suffix,
        interval=message.capture_interval or DEFAULT_CAPTURE_INTERVAL,
        width=message.width,
        height=message.height,
        storage=storage_for(uploads, storage),
        manifest=not message.disable_manifest,
        format=format_,
    )


def _image_format(prefix: str) -> tuple[str, ImageFormat]:
    """Prefix and format: requests know JPEG only, so the extension asks for another one."""
    for format_ in (ImageFormat.PNG, ImageFormat.WEBP):
        if prefix.lower().endswith(format_.extension):
            return prefix[: -len(format_.extension)], format_
    return prefix, ImageFormat.JPEG


def _bad_suffix(number: int, names: Sequence[str]) -> Exception:
    cause = f"There is no name suffix with the number {number}"
    return invalid_field("filename_suffix", cause, f"Use one of {', '.join(names)}")


def _unnamed(message: pb.ImageOutput) -> bool:
    path, _ = _image_format(clean_path(message.filename_prefix))
    return not path or path.endswith("/")


def _distinct(image: ImageOutput, others: Sequence[ImageOutput], *, automatic: bool) -> ImageOutput:
    """`image` under a name that none of `others` has: automatic ones are numbered."""
    taken = {other.prefix for other in others if other.storage == image.storage}
    if image.prefix in taken and not automatic:
        raise taken_twice("filename_prefix", image.prefix)
    number, prefix = 1, image.prefix
    while prefix in taken:
        number += 1
        prefix = f"{image.prefix}-{number}"
    return replace(image, prefix=prefix)


def images_need_video() -> Exception:
    """Images of a recording without pictures."""
    return invalid_field(
        "audio_only images", "Images were asked for, and nothing with pictures is recorded", "Record video too"
    )


def only_sound(file: FileWish, named: Container | None) -> bool:
    """Whether the type or the name of a file says that it holds sound only."""
    container = file.type.value or named
    return container is not None and container.value.audio_only
