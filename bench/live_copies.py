"""What copying a participant into HLS and RTMP costs, beside the same participant encoded into the same output.

Run: python -m bench.live_copies [--seconds 10] [--only hls,fmp4,rtmp]

Ada publishes H.264 (1280x720 at 30 fps, 1.7 Mbit/s, encoded beforehand) and Opus. `pyegress record participant` records
her with --copy and without, in turn, twice; what is measured is that process, reception included. `hls` are segments of
MPEG-TS, for which the sound of copies becomes AAC, as it does for RTMP, whose server is nginx; in `fmp4` nothing is
encoded. What arrived is decoded, and each frame has to be there. Exit code 1 when a goal is missed on a quiet machine,
75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.machine import conclude
from bench.recorder import Used, record
from tests.support.analysis import check_numbers, read_pictures
from tests.support.hls import whole
from tests.support.rtmp_server import RtmpServer
from tests.system.scenes import counted

from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer

#: Goals: of the encoding's cores; share of the frames from the first that arrived to the last.
COST, COPIED, ENCODED = 0.4, 1.0, 0.99
ROOM, NAME, FPS = "bench", "ada", 30
_ROUNDS, _SETTLE, _TAIL = 2, 5.0, 2.0
ADA = Content(participant=1, codec=Codec.H264, size=(1280, 720), encoded=True, bitrate=1_700_000)


@dataclass(frozen=True, slots=True)
class Output:
    """Where a recording goes: what `-o` is told, and how all that arrived becomes one file."""

    argument: str
    arrived: Callable[[], Path]


def segments(folder: Path, name: str, ending: str) -> Output:
    playlist = folder / name / "x.m3u8"
    argument = f"hls:{playlist}?duration=2&format={'fmp4' if ending == 'mp4' else ending}"
    return Output(argument, lambda: whole(playlist, folder / f"{name}.{ending}"))


def stream(server: RtmpServer, name: str) -> Output:
    def arrived() -> Path:
        (recording,) = server.recordings(name)
        return recording

    return Output(server.url(name, "recorded"), arrived)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Frames from the first to the last that arrived; those of them that are missing, come again, or too late."""

    span: int
    missing: int
    repeated: int
    late: int

    def __str__(self) -> str:
        return f"{self.span} frames, {self.missing} missing, {self.repeated} repeated, {self.late} out of order"


def look(path: Path) -> Arrived:
    """The frame numbers of a recording."""
    numbers = check_numbers(counted(read_pictures(path)))
    span = numbers.last - numbers.first + 1
    return Arrived(span, len(numbers.missing), len(numbers.duplicated), len(numbers.reordered))


class Bench:
    """One room with Ada, and servers for what is recorded of her."""

    def __init__(self, stack: ExitStack, seconds: float) -> None:
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._seconds = seconds
        self._server = stack.enter_context(LiveKitServer(self._folder / "server"))
        self._rtmp = stack.enter_context(RtmpServer(self._folder / "rtmp"))
        stack.enter_context(Cast(self._server.url, [Person(NAME, self._server.token(NAME, ROOM), ADA)]))
        self.outputs: dict[str, Callable[[str], Output]] = {
            "hls": lambda name: segments(self._folder, name, "ts"),
            "fmp4": lambda name: segments(self._folder, name, "mp4"),
            "rtmp": lambda name: stream(self._rtmp, name),
        }
        self.foreign = 0.0

    def compare(self, scene: str) -> list[str]:
        """Copied and encoded in turn; the goals that were missed."""
        used: dict[bool, list[Used]] = {True: [], False: []}
        outputs: dict[bool, list[Output]] = {True: [], False: []}
        for number in range(_ROUNDS):
            for copied in (True, False):
                name = f"{scene}-{'copied' if copied else 'encoded'}-{number}"
                output = self.outputs[scene](name)
                used[copied].append(self._record(name, output, ["--copy"] if copied else []))
                outputs[copied].append(output)
        cores = {copied: statistics.mean(one.cores for one in all_) for copied, all_ in used.items()}
        share, missed = cores[True] / cores[False], list[str]()
        if share > COST:
            missed.append(f"{scene}: copying takes {share:.2f} of the encoding's cores, goal {COST}")
        print(f"{scene}: copied is {share:.2f} of encoded (goal {COST})")
        for copied, word, goal in ((True, "copied", COPIED), (False, "encoded", ENCODED)):
            seen = [look(output.arrived()) for output in outputs[copied]]
            memory = max(one.pss for one in used[copied])
            print(f"  {word}: {cores[copied]:.3f} core, {memory:.0f} MB; {'; '.join(map(str, seen))}", flush=True)
            missed += [f"{scene}, {word}: {one}" for one in seen if not self._whole(one, goal)]
        return missed

    def _record(self, name: str, output: Output, more: Sequence[str]) -> Used:
        arguments = ["participant", "--room", ROOM, "-i", NAME, "-o", output.argument, *more]
        log = self._folder / f"{name}.log"
        used = record(self._server, arguments, log, settle=_SETTLE, seconds=self._seconds, tail=_TAIL)
        self.foreign = max(self.foreign, used.foreign)
        return used

    def _whole(self, arrived: Arrived, goal: float) -> bool:
        """Whether what arrived covers the measured seconds and has its frames."""
        there = 1 - arrived.missing / arrived.span
        return arrived.span >= FPS * self._seconds and there >= goal and not arrived.late


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", default="hls,fmp4,rtmp")
    options = parser.parse_args()
    missed: list[str] = []
    with ExitStack() as stack:
        bench = Bench(stack, options.seconds)
        for scene in options.only.split(","):
            missed += bench.compare(scene)
    return conclude(missed, bench.foreign)


if __name__ == "__main__":
    raise SystemExit(main())
