"""The seam between the file writer, which collects frames, and the formats, which turn them into bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.outputs.opus import opus_channels
from pyegress.rtp.frame import EncodedFrame


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream of a file. `size` is in pixels; `first` is its first key frame (parameter sets, Opus channels).

    What follows `title` is said by encoders and left out for copies.
    """

    codec: Codec
    size: tuple[int, int] | None
    first: EncodedFrame
    #: ISO 639-2.
    language: str = "und"
    #: What players show, for instance the track's source.
    title: str = ""
    #: Ticks per second of codecs that have no rate of their own (Hz).
    rate: int = 0
    #: Ticks that the decoder gives at the start before the sound begins. The first `pts` is that much before the sound.
    priming: int = 0
    #: What decoders need beside the frames: AudioSpecificConfig of AAC, STREAMINFO of FLAC.
    config: bytes = b""
    #: Nominal bit/s, 0 if unknown.
    bitrate: int = 0
    #: Pictures are BT.709, limited range.
    bt709: bool = False

    @property
    def clock_rate(self) -> int:
        """Ticks per second."""
        return self.rate or self.codec.clock_rate

    @property
    def channels(self) -> int:
        """Channels of sound as far as known: copies of Opus begin with those of their first packet."""
        if self.codec is Codec.OPUS and not self.rate:
            return opus_channels(self.first.payload)
        return self.codec.value.channels

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height as far as known, else (0, 0)."""
        return self.size or self.first.size or (0, 0)


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What is said about the file as a whole."""

    created: Wall
    #: Tags by lower-case name: title, artist, comment, or any other.
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sample:
    """One frame on its way into a file. `pts` and `duration` are in ticks of the stream's clock.

    `pts` counts what decoders give, priming included: it is never negative. `duration` reaches to the next frame where
    that is known; else it is an estimate.
    """

    pts: int
    duration: int
    payload: bytes
    keyframe: bool


class Muxer(Protocol):
    """One file format. Methods raise OSError when the disk refuses."""

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        """Append the samples of each stream (index as in the specs) so that the file plays up to them."""

    def widen(self, stream: int) -> None:
        """The first stereo packet of an Opus stream that began in mono: the header must say two channels."""

    def finish(self) -> None:
        """Make it an ordinary, seekable file. After an OSError what was recorded still plays."""
