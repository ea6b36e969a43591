"""One output of a plan that encodes, or copies live: what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyegress.clock import Wall
from pyegress.codecs import Codec, Kind
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.outputs.file_writer import FileResult
from pyegress.outputs.muxer import StreamSpec
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.progress import Recorded, RecordedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture
    from pyegress.outputs.images import Shown


class OutputSink(Protocol):
    """What media threads call never blocks; the rest is for the event loop.

    A sink that fails says so once, by the callback it was made with, and takes and ignores what still comes.
    """

    @property
    def bytes_written(self) -> int:
        """Bytes of files on the disk; 0 for streams."""

    @property
    def paths(self) -> list[Path]:
        """Files that have been begun."""

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        """Every destination of a stream that there was."""

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """The next packet of an encoder, or a copied one: 90 kHz ticks for pictures, the stream's rate for sound."""

    def picture(self, picture: Picture, at: float) -> None:
        """A picture as it is drawn, at `at` seconds of the output. Valid during the call."""

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """Mixed sound: [samples, 2] at 48 kHz, from `sample` on. Valid during the call."""

    async def finish(self) -> Recorded:
        """Finish and deliver what was made; an empty result if nothing came. Errors are in the result."""


@dataclass(frozen=True, slots=True)
class Source:
    """What outputs ask of whatever produces the media, a composition or a page."""

    #: The kinds whose packets come.
    kinds: frozenset[Kind]
    #: The stream that an encoder's first packet begins.
    spec_for: Callable[[EncodedFrame], StreamSpec]
    #: Second 0 of the output in UTC; None before it is known.
    started_at: Callable[[], Wall | None]
    #: A finished file with what is known of its tracks; the second argument counts packets that were not written.
    describe: Callable[[FileResult, int], RecordedFile]
    #: Make the next picture a key frame.
    request_keyframe: Callable[[], None]
    #: The codec in which the only track of the sound is published; None while unknown, or if there are several.
    sound_codec: Callable[[], Codec | None] = lambda: None
    #: The kinds whose packets are as they were published: key frames come when they come, and streams may change.
    copied: frozenset[Kind] = frozenset()
    #: The one track that is shown; None where a layout or a page is, or nothing yet. Any thread.
    shown: Callable[[], Shown | None] = lambda: None
