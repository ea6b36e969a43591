"""The seam between the file writer, which collects frames, and the formats, which turn them into bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.rtp.frame import EncodedFrame


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream of a file. `size` is in pixels; `first` is its first key frame (parameter sets, Opus channels)."""

    codec: Codec
    size: tuple[int, int] | None
    first: EncodedFrame
    #: ISO 639-2.
    language: str = "und"
    #: What players show, for instance the track's source.
    title: str = ""

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
    """One frame on its way into a file. `pts` and `duration` are in ticks of the codec's clock.

    `duration` reaches to the next frame where that is known; else it is an estimate.
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
