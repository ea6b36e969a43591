"""A long composition of four people of whom two come, go and mute: memory, threads, sockets, and clocks over time.

Run: python -m bench.compose_soak [--minutes 10]

Goals: memory at most 5 % above that of the first minute, threads and sockets constant, no picture left out, sound and
picture as far apart at the end as at the beginning (40 ms), and the file as long as the clock says (40 ms). Exit code 1
when one is missed on a quiet machine, 75 when it was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.machine import Quiet, conclude, usage
from bench.soak import Samples
from tests.support.analysis import Picture, av_offsets, beep_onsets, flash_onsets, read_sound
from tests.support.composed import pictures_of, read_looks

from pyegress.clock import monotonic
from pyegress.demo.cast import Cast, Person
from pyegress.demo.content import tone_of
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.demo.stamp import Region

ROOM, FPS, CLIP = "bench", 30, 8
#: Two stay, in the upper cells; the third leaves and comes back; the fourth is muted and unmuted by the server.
STAYING, GUEST, MUTED = ("p0", "p1"), "p2", "p3"
CELLS: dict[str, Region] = {"p0": (0.0, 0.0, 640.0, 360.0), "p1": (640.0, 0.0, 640.0, 360.0)}
#: Seconds between changes, and between samples.
_STEP, _SAMPLE = 8.0, 5.0
#: Seconds before judging begins, and at both ends that clocks are taken from.
_SETTLE, _SPAN = 10.0, 30.0
FLAT = 0.04


def person(server: LiveKitServer, name: str) -> Person:
    content = Content(participant=int(name[1:]), size=(320, 180), encoded=True, clip_seconds=CLIP, bitrate=150_000)
    return Person(name, server.token(name, ROOM), content)


def mute(server: LiveKitServer, *, muted: bool) -> None:
    """Mute or unmute whatever MUTED publishes."""

    async def change() -> None:
        for one in await server.participants(ROOM):
            if one.identity == MUTED:
                for track in one.tracks:
                    await server.mute_track(ROOM, MUTED, track.sid, muted=muted)

    asyncio.run(change())


def churn(server: LiveKitServer, over: threading.Event) -> None:
    """The guest comes, the other one is muted and unmuted, the guest leaves, until `over`. Three are always seen: two
    would be drawn beside each other, with their sides cut."""
    while not over.is_set():
        with Cast(server.url, [person(server, GUEST)]):
            for muted in (True, False):
                if not over.wait(_STEP):
                    mute(server, muted=muted)
            over.wait(_STEP)
        over.wait(_STEP)


def lags(pictures: Sequence[Picture]) -> Iterator[tuple[float, float]]:
    """For each picture of a repeating clip when it is seen, and by how much later than its number says."""
    number, length = pictures[0].number or 0, CLIP * FPS
    for picture in pictures:
        number += ((picture.number or 0) - number + length // 2) % length - length // 2
        yield picture.at, picture.at - number / FPS


def judge_file(path: Path) -> list[str]:
    """Goals that the file misses."""
    looks, sound = read_looks(path, CELLS), read_sound(path)
    missed: list[str] = []
    end = looks[-1].at
    print(f"{path.name}: pictures to {end:.2f} s, sound {sound.duration:.2f} s, {len(sound.gaps)} holes in it")
    if sound.gaps or abs(sound.start + sound.duration - end) > 0.1:
        missed.append("sound and pictures are not equally long")
    for who in STAYING:
        seen = pictures_of(looks, who)
        index = int(who[1:])
        beeps = beep_onsets(sound, tone_of(index), level=0.15)
        numbered = [picture for picture in seen if picture.participant == index and picture.at >= _SETTLE]
        share = len(numbered) / max(1, sum(picture.at >= _SETTLE for picture in seen))
        late = list(lags(numbered))
        begin = [lag for at, lag in late if at < _SETTLE + _SPAN]
        last = [lag for at, lag in late if at >= end - _SPAN]
        drift = statistics.median(last) - statistics.median(begin)
        flashes = flash_onsets(seen)
        apart = []
        for start in (_SETTLE, end - _SPAN):
            offsets = av_offsets([at for at in flashes if start <= at < start + _SPAN], beeps)
            apart.append(statistics.median(offsets or [float("nan")]))
        print(
            f"{who}: seen in {share:.2%} of the pictures; sound off its picture by {apart[0] * 1000:.1f} ms at first, "
            f"{apart[1] * 1000:.1f} ms at last; file and clock drift apart by {drift * 1000:.1f} ms"
        )
        if not abs(apart[1] - apart[0]) <= FLAT:
            missed.append(f"{who}: sound moves against its picture by {(apart[1] - apart[0]) * 1000:.1f} ms")
        if not max(map(abs, apart)) <= FLAT:
            missed.append(f"{who}: sound is off its picture")
        if not abs(drift) <= FLAT:
            missed.append(f"{who}: the file drifts by {drift * 1000:.1f} ms")
        if share < 0.99:
            missed.append(f"{who} is not always seen")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    samples, over = Samples(), threading.Event()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder / "server"))
        stack.enter_context(Cast(server.url, [person(server, name) for name in STAYING]))
        stack.enter_context(Cast(server.url, [person(server, MUTED)]))
        output = folder / "room.mp4"
        keys = {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
        command = [sys.executable, "-m", "pyegress", "record", "room", "--json", "--room", ROOM, "-o", str(output)]
        errors = stack.enter_context((folder / "errors").open("w+"))
        answer = stack.enter_context((folder / "answer").open("w+"))
        recorder = stack.enter_context(subprocess.Popen(command, env=os.environ | keys, stdout=answer, stderr=errors))
        stack.callback(recorder.kill)
        changing = threading.Thread(target=churn, args=(server, over))
        changing.start()
        try:
            pause = threading.Event()
            while not output.exists() and recorder.poll() is None:
                pause.wait(0.1)
            quiet, begun, cpu = Quiet(), monotonic(), usage(recorder.pid).cpu
            while monotonic() - begun < options.minutes * 60 and recorder.poll() is None:
                samples.take(recorder.pid, begun)
                pause.wait(_SAMPLE)
            if recorder.poll() is None:
                spent = usage(recorder.pid).cpu - cpu
                print(f"recorder: {spent / (monotonic() - begun):.4f} core")
            foreign = quiet.foreign()
            recorder.terminate()
            code = recorder.wait(120)
        finally:
            over.set()
            changing.join()
        missed = [] if code == 0 else [f"it ended so: {(folder / 'errors').read_text()[-2000:]}"]
        result = json.loads((folder / "answer").read_text())
        warnings = [*result["warnings"], *result["files"][0]["warnings"]]
        print("\n".join(warnings) if warnings else "no warning: no picture was left out")
        missed += warnings + samples.judge() + judge_file(output)
    return conclude(missed, foreign, lenient=True)


if __name__ == "__main__":
    raise SystemExit(main())
