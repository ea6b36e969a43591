"""What composed pictures show: the demo picture in each of several regions, read in one pass over a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from pyegress.demo.content import flash_region
from pyegress.demo.stamp import Luma, Region, Stamp, read_stamp
from tests.support.analysis import Picture, luma_of

#: Luma (limited range) below which a region is black.
BLACK = 24.0


@dataclass(frozen=True, slots=True)
class Look:
    """One decoded frame: what each region shows (None: no valid stamp), and how bright it is (mean luma)."""

    at: float
    stamps: Mapping[str, Stamp | None]
    brightness: Mapping[str, float]
    lit: Mapping[str, bool]

    def shows(self, region: str) -> int | None:
        """The participant in a region."""
        stamp = self.stamps[region]
        return stamp.participant if stamp else None


def read_looks(path: Path, regions: Mapping[str, Region], *, every: int = 1) -> list[Look]:
    """Decode a video and read every n-th frame of it."""
    looks = []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every:
                continue
            assert frame.time is not None
            luma = luma_of(frame)
            brightness, lit = {}, {}
            for name, region in regions.items():
                brightness[name] = _mean(luma, region)
                lit[name] = _mean(luma, _inner(flash_region(region))) > 180.0
            stamps = {name: read_stamp(luma, region) for name, region in regions.items()}
            looks.append(Look(frame.time, stamps, brightness, lit))
    return looks


def pictures_of(looks: Sequence[Look], region: str) -> list[Picture]:
    """What one region shows, as if it were a file of its own."""
    pictures = []
    for look in looks:
        stamp = look.stamps[region]
        number, participant = (stamp.number, stamp.participant) if stamp else (None, None)
        pictures.append(Picture(look.at, number, participant, (0, 0), look.lit[region]))
    return pictures


def _inner(region: Region) -> Region:
    x, y, width, height = region
    return x + width / 4, y + height / 4, width / 2, height / 2


def _mean(luma: Luma, region: Region) -> float:
    x, y, width, height = (round(value) for value in region)
    return float(luma[y : y + height, x : x + width].mean())
