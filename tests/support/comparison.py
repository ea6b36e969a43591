"""Whether a recording lacks frames that somebody else got from the same publisher at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyegress.codecs import Codec
from tests.support.analysis import read_packets
from tests.support.bitstream import split_frame

#: Demo content repeats after some seconds: a frame is looked for only near where it should be.
_NEAR = 100


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames of the reference between the first and the last that the file has, and how many of them it has not."""

    there: int
    lost: int

    @property
    def present(self) -> float:
        """The share of frames that the file has, 0..1."""
        return 1 - self.lost / self.there if self.there else 0.0


def video_units(path: Path, codec: Codec) -> list[list[bytes]]:
    """The video frames of a file, split as `split_frame` does."""
    return [split_frame(codec, packet.data) for packet in read_packets(path, "video")]


def lost_frames(had: Sequence[list[bytes]], reference: Iterable[list[bytes]]) -> Lost:
    """Compare frames, both in order; what comes before the first common one and after the last does not count."""
    there = list(reference)
    first = there.index(had[0]) if had and had[0] in there else 0
    lost = found = 0
    after = first
    for index in range(first, len(there)):
        near = had[found : found + _NEAR]
        if there[index] in near:
            found += near.index(there[index]) + 1
            lost += index - after
            after = index + 1
        if found == len(had):
            break
    return Lost(after - first, lost)
