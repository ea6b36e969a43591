"""A long recording of every track of a room: memory, threads and sockets over time, and the files' clocks.

Run: python -m bench.soak [--minutes 10] [--participants 8]

Goals: memory at most 5 % above that of the first minute, threads and sockets constant, and no file drifts more than
40 ms from the clock on the wall. Exit code 1 when one is missed on a quiet machine, 75 when it was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
from bench.machine import Quiet, conclude, usage
from tests.support.analysis import Sound, beep_onsets, read_pictures, read_sound

from pyegress.clock import monotonic
from pyegress.demo.cast import Cast, Person
from pyegress.demo.content import SAMPLE_RATE, tone_of
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer

ROOM, FPS = "bench", 30
GROWTH, DRIFT = 0.05, 0.04
_PER_PROCESS, _SAMPLE = 4, 5.0
#: Beeps and frames that the clocks at the beginning and at the end are taken from, seconds.
_SPAN = 20.0


class Samples:
    """What the recorder held, every few seconds."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, int, int]] = []

    def take(self, pid: int, since: float) -> None:
        used = usage(pid)
        sockets = len(psutil.Process(pid).net_connections())
        self.rows.append((monotonic() - since, used.rss, used.threads, sockets))

    def judge(self) -> list[str]:
        """Goals missed."""
        after = [row for row in self.rows if row[0] >= 60] or self.rows[len(self.rows) // 2 :]
        first, most = statistics.median(row[1] for row in after[:3]), max(row[1] for row in after)
        print(f"memory: {self.rows[0][1]:.1f} MB at first, {first:.1f} after a minute, {most:.1f} at most since then")
        missed = [f"memory grew by {most / first - 1:.1%}"] if most > first * (1 + GROWTH) else []
        for name, column in (("threads", 2), ("sockets", 3)):
            seen = sorted({row[column] for row in after})
            print(f"{name}: {', '.join(map(str, seen))}")
            if len(seen) > 1:
                missed.append(f"{name} between {seen[0]} and {seen[-1]}")
        return missed


def video_drift(path: Path, length: int) -> float:
    """Seconds by which the end of the file is later than its frame numbers say, its beginning being right."""
    pictures = [picture for picture in read_pictures(path) if picture.number is not None]
    lags: list[float] = []
    number = pictures[0].number or 0
    for picture in pictures:
        number += ((picture.number or 0) - number + length // 2) % length - length // 2
        lags.append(picture.at - number / FPS)
    few = round(_SPAN * FPS)
    return statistics.median(lags[-few:]) - statistics.median(lags[:few])


def audio_drift(path: Path, tone: float) -> float:
    """The same of beeps, which were published at full seconds."""
    sound = read_sound(path)
    few = round(_SPAN * SAMPLE_RATE)
    tail = len(sound.samples) - few
    first = beep_onsets(Sound(sound.samples[:few], sound.start, ()), tone)
    last = beep_onsets(Sound(sound.samples[tail:], sound.start + tail / SAMPLE_RATE, ()), tone)
    reference = first[0]
    start = statistics.median((onset - reference + 0.5) % 1.0 - 0.5 for onset in first)
    end = statistics.median((onset - reference + 0.5) % 1.0 - 0.5 for onset in last)
    return end - start


def judge_files(directory: Path, length: int) -> list[str]:
    """Goals that the files miss."""
    index = json.loads((directory / "index.json").read_text())
    missed: list[str] = []
    drifts: list[float] = []
    for entry in index["tracks"]:
        (file,) = entry["files"]
        path = directory / file["path"]
        if entry["kind"] == "video":
            drift = video_drift(path, length)
        else:
            drift = audio_drift(path, tone_of(int(entry["identity"][1:])))
        drifts.append(drift)
        if abs(drift) > DRIFT:
            missed.append(f"{path.name} drifts by {drift * 1000:.1f} ms")
    ends = [entry["end"] for entry in index["tracks"]]
    print(f"{len(drifts)} files, drift {min(drifts) * 1000:.1f} to {max(drifts) * 1000:.1f} ms")
    print(f"they end within {max(ends) - min(ends):.3f} s of each other, at {max(ends):.1f} s")
    return missed


async def _is_in(server: LiveKitServer, count: int) -> None:
    """Wait until so many are in the room."""
    for _ in range(300):
        if len(await server.participants(ROOM)) >= count:
            return
        await asyncio.sleep(0.2)
    raise TimeoutError("the recorder did not join")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--participants", type=int, default=8)
    options = parser.parse_args()
    samples = Samples()
    pause = threading.Event()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder / "server"))
        people = []
        for number in range(options.participants):
            name = f"p{number}"
            content = Content(participant=number, size=(320, 180), encoded=True, bitrate=150_000)
            people.append(Person(name, server.token(name, ROOM), content))
        for first in range(0, len(people), _PER_PROCESS):
            stack.enter_context(Cast(server.url, people[first : first + _PER_PROCESS]))
        directory = folder / "tracks"
        keys = {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
        log = stack.enter_context((folder / "log").open("w+"))
        command = [sys.executable, "-m", "pyegress", "record", "tracks", "--room", ROOM, "--output", str(directory)]
        recorder = stack.enter_context(subprocess.Popen(command, env=os.environ | keys, stdout=log, stderr=log))
        stack.callback(recorder.kill)
        asyncio.run(_is_in(server, len(people) + 1))
        quiet = Quiet()
        begun = monotonic()
        cpu = usage(recorder.pid).cpu
        while monotonic() - begun < options.minutes * 60 and recorder.poll() is None:
            samples.take(recorder.pid, begun)
            pause.wait(_SAMPLE)
        if recorder.poll() is None:
            spent = usage(recorder.pid).cpu - cpu
            print(f"recorder: {spent / (monotonic() - begun):.4f} core for {len(people)} participants")
        foreign = quiet.foreign()
        recorder.send_signal(signal.SIGINT)
        missed = [] if recorder.wait(120) == 0 else [f"it ended so: {(folder / 'log').read_text()[-2000:]}"]
        missed += samples.judge() + judge_files(directory, people[0].content.clip_seconds * FPS)
    return conclude(missed, foreign, lenient=True)


if __name__ == "__main__":
    raise SystemExit(main())
