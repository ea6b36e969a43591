"""What the system tests of compositions have in common: small recordings, where people are drawn, what is seen when."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyegress
from pyegress.demo.content import tone_of
from pyegress.demo.publishers import DemoParticipant
from pyegress.demo.stamp import Region
from tests.support.analysis import beep_onsets, read_sound
from tests.support.composed import Look, pictures_of
from tests.support.livekit_server import LiveKitServer
from tests.system.scenes import CLIP, FPS, access, counted

WHOLE: Region = (0.0, 0.0, 640.0, 360.0)
#: The cells of a grid of up to four.
CELLS: dict[str, Region] = {
    "a": (0.0, 0.0, 320.0, 180.0),
    "b": (320.0, 0.0, 320.0, 180.0),
    "c": (0.0, 180.0, 320.0, 180.0),
    "d": (320.0, 180.0, 320.0, 180.0),
}
Outputs = Path | str | Sequence[Path | str]
#: Small pictures: these tests are about content.
SMALL: dict[str, Any] = {"width": 640, "height": 360, "overwrite": False}
#: Seconds between sound and picture, and between participants, where other tests run beside: publishers are late then,
#: too. `bench.compose_sync` judges 40 ms.
TOLERANCE = 0.15


def room(server: LiveKitServer, name: str, output: Outputs, **options: Any) -> pyegress.Recording:
    return pyegress.record_room(room=name, output=output, **access(server), **(SMALL | options))


def participant(server: LiveKitServer, name: str, output: Outputs, **options: Any) -> pyegress.Recording:
    arguments: dict[str, Any] = dict(access(server)) | SMALL | {"identity": "ada"} | options
    return pyegress.record_participant(room=name, output=output, **arguments)


def capture_offsets(looks: Sequence[Look], region: str, person: DemoParticipant) -> list[float]:
    """By how much each picture of a region is later in the file than it was captured, up to a constant."""
    pictures = [picture for picture in pictures_of(looks, region) if picture.number is not None]
    numbers = counted(pictures, CLIP)
    return [picture.at - person.epoch - number / FPS for picture, number in zip(pictures, numbers, strict=True)]


def stretch(looks: Sequence[Look], start: float, end: float) -> list[Look]:
    """What is seen from `start` to `end` seconds of the file."""
    chosen = [look for look in looks if start <= look.at < end]
    assert chosen, f"nothing between {start} and {end} s of {looks[-1].at if looks else 0.0} s"
    return chosen


def mostly(values: Sequence[bool], share: float = 0.9) -> bool:
    """Whether most of them hold: the machine may be busy, and pictures change while the room says so."""
    return sum(values) >= share * len(values)


def assert_in_step(offsets: Sequence[float], what: str) -> None:
    assert len(offsets) >= 2, f"{what}: {offsets}"
    assert abs(statistics.median(offsets)) <= TOLERANCE, f"{what}: {offsets}"


def beeps(path: Path, participant: int = 3) -> list[float]:
    """When a participant's beeps begin; other people's tones leak 0.1 into the window."""
    return beep_onsets(read_sound(path), tone_of(participant), level=0.15)
