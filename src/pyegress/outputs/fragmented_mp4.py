"""MP4 while it is recorded: fragments, one per batch, one write each. A killed process leaves a file that plays up to
its last whole fragment.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.fragments import fragment, movie_header
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.outputs.progressive_mp4 import finish_mp4


class FragmentedMp4Muxer:
    """Writes fragments, and at the end an ordinary MP4 from them."""

    def __init__(self, file: GrowingFile, specs: Sequence[StreamSpec], header: FileHeader) -> None:
        self._file = file
        self._codecs = [spec.codec for spec in specs]
        self._sequence = 0
        start = movie_header(specs, header)
        self._channel_places = start.channel_places
        file.append(start.data)

    def write_batch(self, batch: Sequence[Sequence[Sample]]) -> None:
        piece = fragment(self._codecs, batch, self._sequence + 1)
        # Players give up on a file with a torn `moof`. So the piece lands as one `free` box, which they skip torn or
        # whole, and becomes a fragment by its first eight bytes.
        kind = piece[:8]
        piece[:8] = struct.pack(">I4s", len(piece), b"free")
        at = self._file.append(piece)
        self._file.patch(at, kind)
        self._sequence += 1

    def widen(self, stream: int) -> None:
        for at in self._channel_places[stream]:
            self._file.patch(at, b"\x02")

    def finish(self) -> None:
        finish_mp4(self._file.fd, self._file.path)
