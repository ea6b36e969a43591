"""The codecs of tracks and files: the one table of their names, kinds and clock rates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a track carries."""

    AUDIO = "audio"
    VIDEO = "video"


@dataclass(frozen=True, slots=True)
class CodecInfo:
    """Facts about one codec.

    `encoding` is the RTP encoding name of `a=rtpmap` (RFC 8866 section 6.6), `clock_rate` is in Hz. What is not
    `published` is no codec of LiveKit's tracks: it is only encoded into outputs, and a `clock_rate` of 0 leaves the
    rate to the stream (its sample rate).
    """

    encoding: str
    kind: Kind
    clock_rate: int
    channels: int
    label: str
    published: bool = True


class Codec(Enum):
    """A media codec. RED and RTX are packet formats that carry one of these, not codecs."""

    OPUS = CodecInfo("opus", Kind.AUDIO, 48_000, 2, "Opus")
    PCMU = CodecInfo("PCMU", Kind.AUDIO, 8_000, 1, "G.711 u-law")
    PCMA = CodecInfo("PCMA", Kind.AUDIO, 8_000, 1, "G.711 A-law")
    VP8 = CodecInfo("VP8", Kind.VIDEO, 90_000, 0, "VP8")
    VP9 = CodecInfo("VP9", Kind.VIDEO, 90_000, 0, "VP9")
    H264 = CodecInfo("H264", Kind.VIDEO, 90_000, 0, "H.264")
    H265 = CodecInfo("H265", Kind.VIDEO, 90_000, 0, "H.265")
    AV1 = CodecInfo("AV1", Kind.VIDEO, 90_000, 0, "AV1")
    AAC = CodecInfo("AAC", Kind.AUDIO, 0, 2, "AAC", published=False)
    MP3 = CodecInfo("MP3", Kind.AUDIO, 0, 2, "MP3", published=False)
    FLAC = CodecInfo("FLAC", Kind.AUDIO, 0, 2, "FLAC", published=False)
    #: Signed 16-bit samples, little-endian.
    PCM = CodecInfo("PCM", Kind.AUDIO, 0, 2, "PCM", published=False)

    @property
    def kind(self) -> Kind:
        return self.value.kind

    @property
    def clock_rate(self) -> int:
        """RTP ticks per second; 0 where only the stream knows."""
        return self.value.clock_rate

    @property
    def published(self) -> bool:
        """Whether LiveKit's tracks can have it."""
        return self.value.published

    @property
    def label(self) -> str:
        """The name that people know it by."""
        return self.value.label

    @property
    def mime(self) -> str:
        """The media type as LiveKit's TrackInfo writes it, for instance `video/VP8`."""
        return f"{self.value.kind.value}/{self.value.encoding}"

    @classmethod
    def from_encoding(cls, name: str) -> Codec | None:
        """The codec of an `a=rtpmap` encoding name, any case; None for RED, RTX, FEC and what we do not know."""
        return _BY_ENCODING.get(name.lower())

    @classmethod
    def from_mime(cls, mime: str) -> Codec | None:
        """The codec of a media type such as `audio/opus`, any case; None if unknown."""
        return cls.from_encoding(mime.rpartition("/")[2])


_BY_ENCODING = {codec.value.encoding.lower(): codec for codec in Codec if codec.published}
