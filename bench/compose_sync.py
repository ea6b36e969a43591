"""Compositions in step: sound with its picture, people with each other, every frame once and every beep at its second.

Run: python -m bench.compose_sync [--seconds 30] [--only participant,composite,grid3] [--stress]

Goals: 95 of 100 beeps within 40 ms of their flash, people within 40 ms of each other, beeps and flashes within 20 ms of
their second, no frame of the publishers missing or shown twice. `--stress` loses 5 % of packets and delays others by
up to 60 ms: then sound within 60 ms of its picture, and the rest is not judged. `--only grid25` fills the largest grid
with small pictures, 10 a second: everybody must be in every picture.
Exit code 1 when a goal is missed on a quiet machine, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.machine import TOLERATED, Quiet, verdict
from livekit import api
from tests.support.analysis import Picture, Sound, av_offsets, beep_onsets, flash_onsets, read_sound
from tests.support.composed import pictures_of, read_looks
from tests.support.impairment import Impairment, SeededImpairment

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.content import tone_of
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.demo.stamp import Region
from pyegress.plan.recording_plan import RecordingPlan
from pyegress.worker.composition import Composition
from pyegress.worker.session import RecordingSession

ROOM, WIDTH, HEIGHT = "bench", 1280, 720
IN_STEP, STRESSED, CADENCE = 0.04, 0.06, 0.02
NETWORK = Impairment(loss=0.05, delay=0.01, jitter=0.06)
#: Seconds before judging begins: sender reports have come, and clocks have settled.
SETTLE = 8.0
_PER_PROCESS, _CLIP = 5, 8
_CODECS = (Codec.VP8, Codec.H264, Codec.VP9)


@dataclass(frozen=True, slots=True)
class Scene:
    """`columns` of the grid; people publish `size` at `fps`."""

    people: int
    columns: int
    size: tuple[int, int] = (640, 360)
    fps: int = 30
    #: Everybody speaks, in a tone of their own; else the first one alone does.
    judged: bool = True

    def speaks(self, index: int) -> bool:
        """Whether this one publishes sound."""
        return self.judged or index == 0


SCENES = {
    "participant": Scene(1, 1),
    "composite": Scene(1, 1),
    "grid3": Scene(3, 2),
    "grid25": Scene(25, 5, (160, 90), 10, judged=False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One person. Seconds; `lag` up to a constant of the file."""

    scene: str
    who: str
    offsets: tuple[float, ...]
    beeps: tuple[float, ...]
    flashes: tuple[float, ...]
    lag: float
    missing: int
    repeated: int
    there: float


def p95(values: Sequence[float]) -> float:
    """What 95 of 100 are within."""
    ordered = sorted(map(abs, values))
    return ordered[max(0, round(len(ordered) * 0.95) - 1)] if ordered else float("inf")


def off_their_second(onsets: Sequence[float]) -> tuple[float, ...]:
    """How far each is from a beat of one second, whose phase is the median's."""
    if not onsets:
        return ()
    phases = [(at - onsets[0] + 0.5) % 1.0 - 0.5 for at in onsets]
    middle = statistics.median(phases)
    return tuple(phase - middle for phase in phases)


def counted(pictures: Sequence[Picture], length: int) -> list[int]:
    """Frame numbers of a clip that repeats every `length` frames, counted on."""
    numbers: list[int] = []
    for picture in pictures:
        assert picture.number is not None
        before = numbers[-1] if numbers else picture.number
        numbers.append(before + (picture.number - before + length // 2) % length - length // 2)
    return numbers


def row_of(name: str, scene: Scene, index: int, seen: Sequence[Picture], sound: Sound, epoch: float, end: float) -> Row:
    """Judge what one person's cell shows and what is heard of them, from SETTLE to `end`."""
    judged = [picture for picture in seen if SETTLE <= picture.at < end]
    pictures = [picture for picture in judged if picture.participant == index]
    numbers = counted(pictures, scene.fps * _CLIP)
    onsets = beep_onsets(sound, tone_of(index), level=0.15) if scene.speaks(index) else []
    beeps = [at for at in onsets if SETTLE <= at < end]
    flashes = flash_onsets(judged)
    lags = [picture.at - number / scene.fps - epoch for picture, number in zip(pictures, numbers, strict=True)]
    steps = [after - before for before, after in pairwise(numbers)]
    return Row(
        scene=name,
        who=f"p{index}",
        offsets=tuple(av_offsets(flashes, beeps)),
        beeps=off_their_second(beeps),
        flashes=off_their_second(flashes),
        # A clip repeats: lags are known up to its length, and everybody's epoch is within it.
        lag=statistics.median(lags) if lags else float("nan"),
        missing=sum(step - 1 for step in steps if step > 1),
        repeated=sum(step < 1 for step in steps),
        there=len(pictures) / max(1, len(judged)),
    )


async def record(
    name: str, scene: Scene, server: LiveKitServer, output: Path, seconds: float, seam: SeededImpairment | None
) -> Path:
    """Record a scene for so many seconds."""
    access = {"url": server.url, "api_key": server.api_key, "api_secret": server.api_secret}
    common: dict[str, Any] = {"room": ROOM, "output": output, "duration": seconds, **access}
    if name == "participant":
        recording = pyegress.record_participant(identity="p0", **common)
    elif name == "composite":
        sids: dict[int, str] = {}
        while len(sids) < 2:  # the server lists tracks somewhat later than it takes them
            (person,) = await server.participants(ROOM)
            sids = {track.type: track.sid for track in person.tracks}
        recording = pyegress.record_track_composite(
            audio_track_id=sids[api.TrackType.AUDIO], video_track_id=sids[api.TrackType.VIDEO], **common
        )
    else:
        recording = pyegress.record_room(fps=scene.fps, **common)
    plan = recording.plan
    assert isinstance(plan, RecordingPlan)
    session = RecordingSession(plan, make_recorder=lambda on_over: Composition(plan, on_over=on_over), seam=seam)
    result = await session.run()
    result.check()
    for warning in (*result.warnings, *result.files[0].warnings):
        print(f"{name}: {warning}")
    return result.files[0].path


def measure(name: str, scene: Scene, seconds: float, stress: bool) -> list[Row]:
    """One scene, recorded and read."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder / "server"))
        people = []
        for index in range(scene.people):
            content = Content(
                participant=index,
                codec=_CODECS[index % (3 if scene.judged else 2)],
                size=scene.size,
                fps=scene.fps,
                encoded=True,
                clip_seconds=_CLIP,
                phases=6 if scene.judged else 1,
            )
            token = server.token(f"p{index}", ROOM)
            people.append(Person(f"p{index}", token, content, audio=scene.speaks(index)))
        epochs: dict[str, float] = {}
        for first in range(0, len(people), _PER_PROCESS):
            epochs |= stack.enter_context(Cast(server.url, people[first : first + _PER_PROCESS])).epochs
        seam = SeededImpairment(1, NETWORK) if stress else None
        end = SETTLE + seconds
        path = asyncio.run(record(name, scene, server, folder / "out.mp4", end + 1.0, seam))
        if seam is not None:
            print(f"{name}: {seam.inbound_tally}")
        width, height = WIDTH / scene.columns, HEIGHT / scene.columns
        cells: dict[str, Region] = {
            f"p{index}": (index % scene.columns * width, index // scene.columns * height, width, height)
            for index in range(scene.people)
        }
        looks, sound = read_looks(path, cells), read_sound(path)
        return [
            row_of(name, scene, index, pictures_of(looks, f"p{index}"), sound, epochs[f"p{index}"], end)
            for index in range(scene.people)
        ]


def missed_by(rows: Sequence[Row], *, stress: bool) -> list[str]:
    """Goals that the people of one scene miss."""
    missed = []
    scene = SCENES[rows[0].scene]
    for row in rows:
        what = f"{row.scene} {row.who}"
        if row.there < (0.9 if stress else 1.0):
            missed.append(f"{what}: seen in {row.there:.1%} of the pictures")
        if scene.judged and (goal := STRESSED if stress else IN_STEP) < p95(row.offsets):
            missed.append(f"{what}: sound off its picture by {p95(row.offsets) * 1000:.1f} ms, goal {goal * 1000:.0f}")
        if not scene.judged or stress:
            continue
        for kind, found in (("beeps", row.beeps), ("flashes", row.flashes)):
            if p95(found) > CADENCE:
                missed.append(f"{what}: {kind} off their second by {p95(found) * 1000:.1f} ms")
        if row.missing or row.repeated:
            missed.append(f"{what}: {row.missing} frames missing, {row.repeated} shown twice")
    apart = max(row.lag for row in rows) - min(row.lag for row in rows)
    if len(rows) > 1 and scene.judged:
        print(f"{rows[0].scene}: people are within {apart * 1000:.1f} ms of each other")
        if not stress and apart > IN_STEP:
            missed.append(f"{rows[0].scene}: people {apart * 1000:.1f} ms apart")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", default="participant,composite,grid3")
    parser.add_argument("--stress", action="store_true")
    options = parser.parse_args()
    missed: list[str] = []
    foreign = 0.0
    print(
        f"{'scene':<12} {'who':<4} {'beeps':>5} {'A/V p95':>8} {'median':>7} {'beeps p95':>10} {'flashes p95':>12} "
        f"{'missing':>8} {'twice':>6} {'seen':>6}   ms"
    )
    for name in options.only.split(","):
        quiet = Quiet()
        rows = measure(name, SCENES[name], options.seconds, options.stress)
        foreign = max(foreign, quiet.foreign())
        for row in rows:
            middle = statistics.median(row.offsets) if row.offsets else float("nan")
            print(
                f"{row.scene:<12} {row.who:<4} {len(row.beeps):>5} {p95(row.offsets) * 1000:>8.1f} "
                f"{middle * 1000:>7.1f} {p95(row.beeps) * 1000:>10.1f} {p95(row.flashes) * 1000:>12.1f} "
                f"{row.missing:>8} {row.repeated:>6} {row.there:>6.1%}",
                flush=True,
            )
        missed += missed_by(rows, stress=options.stress)
    print("\n".join(["goals missed:", *missed]) if missed else "goals reached")
    print(verdict(foreign))
    if foreign > TOLERATED:
        return 75
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main())
