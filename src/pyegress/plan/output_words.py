"""Outputs as they are typed: one word each, which becomes an output of a request.

`talk.mp4`, `hls:talk/talk.m3u8?duration=2`, `images:talk/shot@5s`, `rtmp://host/app/key`. Options stand behind a `?`,
as in URLs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest
from pyegress.plan.containers import PLAYLIST
from pyegress.plan.recording_plan import NameSuffix, SegmentFormat
from pyegress.plan.storage_urls import split_storage_url, storage_of
from pyegress.plan.stream_urls import StreamProtocol, protocol_of

T = TypeVar("T")

#: What separates an output from its options, and images from their interval.
_OPTIONS, _INTERVAL = "?", "@"
_SECONDS = re.compile(r"(\d+)(s|m|)")
_SIZE = re.compile(r"(\d+)x(\d+)")


@dataclass(frozen=True, slots=True)
class FileWord:
    """A file. `place` is a bucket (`s3://bucket`) that the path is in, "" the local disk."""

    path: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class HlsWord:
    """HLS: the event playlist, and next to it perhaps a live playlist. Seconds."""

    path: str
    live: str = ""
    duration: int = 0
    format: SegmentFormat = SegmentFormat.MPEG_TS
    suffix: NameSuffix = NameSuffix.INDEX
    part: float = 0.0
    place: str = ""


@dataclass(frozen=True, slots=True)
class ImagesWord:
    """A picture every `interval` seconds; sizes in pixels, 0 as they are."""

    path: str
    interval: int = 0
    width: int = 0
    height: int = 0
    suffix: NameSuffix = NameSuffix.INDEX
    place: str = ""


@dataclass(frozen=True, slots=True)
class StreamWord:
    """The URL of a stream."""

    url: str = field(repr=False)
    protocol: StreamProtocol


OutputWord = FileWord | HlsWord | ImagesWord | StreamWord


def parse_output(text: str) -> OutputWord:
    """What a word means. Raises InvalidRequest with the field `output`."""
    protocol = protocol_of(text)
    if protocol is not None:
        return StreamWord(text, protocol)
    kind, colon, rest = text.partition(":")
    reader = _READERS.get(kind) if colon else None
    if reader is not None:
        return reader(rest)
    place, path = split_storage_url(text)
    return FileWord(path, place)


#: Requests that have lists of outputs.
OutputsRequest = (
    pb.RoomCompositeEgressRequest | pb.ParticipantEgressRequest | pb.TrackCompositeEgressRequest | pb.WebEgressRequest
)


def add_output(request: OutputsRequest, word: OutputWord, environment: Mapping[str, str]) -> None:
    """Ask a request for the output. What the `environment` knows of a bucket is part of it."""
    match word:
        case FileWord():
            _store(request.file_outputs.add(filepath=word.path, disable_manifest=True), word.place, environment)
        case HlsWord():
            segments = request.segment_outputs.add(
                protocol=_PROTOCOLS[word.format],
                playlist_name=word.path,
                live_playlist_name=word.live,
                segment_duration=word.duration,
                filename_suffix=_SEGMENT_SUFFIXES[word.suffix],
                disable_manifest=True,
            )
            _store(segments, word.place, environment)
        case ImagesWord():
            images = request.image_outputs.add(
                capture_interval=word.interval,
                width=word.width,
                height=word.height,
                filename_prefix=word.path,
                filename_suffix=_IMAGE_SUFFIXES[word.suffix],
                disable_manifest=True,
            )
            _store(images, word.place, environment)
        case StreamWord():
            number = _STREAMS[word.protocol]
            for stream in request.stream_outputs:
                if stream.protocol == number:
                    stream.urls.append(word.url)
                    return
            request.stream_outputs.add(protocol=number, urls=[word.url])


def _store(
    output: pb.EncodedFileOutput | pb.SegmentedFileOutput | pb.ImageOutput, place: str, environment: Mapping[str, str]
) -> None:
    if place:
        storage = storage_of(place, environment)
        kind = storage.WhichOneof("provider")
        assert kind is not None
        getattr(output, kind).CopyFrom(getattr(storage, kind))


_PROTOCOLS = {
    SegmentFormat.MPEG_TS: pb.SegmentedFileProtocol.HLS_PROTOCOL,
    SegmentFormat.FMP4: pb.SegmentedFileProtocol.HLS_FMP4_PROTOCOL,
}
_SEGMENT_SUFFIXES = {
    NameSuffix.INDEX: pb.SegmentedFileSuffix.INDEX,
    NameSuffix.TIMESTAMP: pb.SegmentedFileSuffix.TIMESTAMP,
}
_IMAGE_SUFFIXES = {
    NameSuffix.INDEX: pb.ImageFileSuffix.IMAGE_SUFFIX_INDEX,
    NameSuffix.TIMESTAMP: pb.ImageFileSuffix.IMAGE_SUFFIX_TIMESTAMP,
    NameSuffix.NONE: pb.ImageFileSuffix.IMAGE_SUFFIX_NONE_OVERWRITE,
}
_STREAMS = {
    StreamProtocol.RTMP: pb.StreamProtocol.RTMP,
    StreamProtocol.SRT: pb.StreamProtocol.SRT,
    StreamProtocol.WEBSOCKET: pb.StreamProtocol.WEBSOCKET,
}
_FORMATS = {"ts": SegmentFormat.MPEG_TS, "fmp4": SegmentFormat.FMP4}


def _hls(text: str) -> HlsWord:
    place, text = split_storage_url(text)
    path, options = _options(text, "hls", ("duration", "format", "live", "suffix", "part"))
    if not (path or place):
        raise _wrong("hls: names no playlist", "Write hls:FOLDER/NAME.m3u8, or hls:FOLDER/ for an automatic name")
    part = _number(options, "part")
    if part and "format" not in options:
        options["format"] = "fmp4"
    word = HlsWord(
        path=path,
        live=options.get("live", ""),
        duration=int(_number(options, "duration", whole=True)),
        format=_one_of(options, "format", _FORMATS) or SegmentFormat.MPEG_TS,
        suffix=_one_of(options, "suffix", {"index": NameSuffix.INDEX, "timestamp": NameSuffix.TIMESTAMP})
        or NameSuffix.INDEX,
        part=part,
        place=place,
    )
    if word.live and not word.live.lower().endswith(PLAYLIST[0]):
        return replace(word, live=word.live + PLAYLIST[0])
    return word


def _images(text: str) -> ImagesWord:
    place, text = split_storage_url(text)
    path, options = _options(text, "images", ("every", "size", "suffix"))
    before, _, interval = path.rpartition(_INTERVAL)
    if _SECONDS.fullmatch(interval):
        path, options["every"] = before, interval
    # Where requests end in .jpg they mean a name; here it is the kind of picture.
    path = path.removesuffix(".jpg").removesuffix(".jpeg")
    if not (path or place):
        raise _wrong("images: names no files", "Write images:FOLDER/PREFIX@5s, or images:FOLDER/ for an automatic name")
    width = height = 0
    if size := options.get("size", ""):
        found = _SIZE.fullmatch(size)
        if not found:
            raise _wrong(f"{size!r} is no size", "Write size=640x360, a 0 for what follows from the other")
        width, height = int(found[1]), int(found[2])
    suffixes = {suffix.value: suffix for suffix in NameSuffix}
    return ImagesWord(
        path=path,
        interval=int(_number(options, "every", whole=True)),
        width=width,
        height=height,
        suffix=_one_of(options, "suffix", suffixes) or NameSuffix.INDEX,
        place=place,
    )


_READERS: dict[str, Callable[[str], OutputWord]] = {"hls": _hls, "images": _images}


def _options(text: str, kind: str, known: Sequence[str]) -> tuple[str, dict[str, str]]:
    path, mark, query = text.partition(_OPTIONS)
    options: dict[str, str] = {}
    for pair in query.split("&") if mark else ():
        name, equals, value = pair.partition("=")
        if name not in known or not equals or not value:
            names = ", ".join(f"{name}=" for name in known)
            raise _wrong(f"{kind}: has no option {pair!r}", f"There are {names}")
        options[name] = value
    return path, options


def _number(options: Mapping[str, str], name: str, *, whole: bool = False) -> float:
    """Seconds, or minutes with an m; 0 without the option."""
    text = options.get(name)
    if text is None:
        return 0.0
    if found := _SECONDS.fullmatch(text):
        value = float(found[1]) * (60 if found[2] == "m" else 1)
    else:
        try:
            value = -1.0 if whole else float(text.removesuffix("s"))
        except ValueError:
            value = -1.0
    if not 0 < value <= 86_400:
        raise _wrong(
            f"{name}={text} is no {'whole ' if whole else ''}number of seconds", f"Write {name}=5 or {name}=5s"
        )
    return value


def _one_of(options: Mapping[str, str], name: str, known: Mapping[str, T]) -> T | None:
    text = options.get(name)
    if text is None:
        return None
    if text.lower() not in known:
        raise _wrong(f"{name}={text} is unknown", f"Write {name}= and one of {', '.join(known)}")
    return known[text.lower()]


def _wrong(cause: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(cause, field="output", remedy=remedy)
