"""Recording over bad networks, beside an undisturbed recording of the same room at the same time.

Run: python -m bench.loss [--seconds 30] [--codecs VP8,H264]

What the undisturbed recording has and the other has not is lost. Networks: seeded impairments at the datagram seam; a
network namespace whose kernel drops packets both ways (as root); a signal connection that is cut five times. Exit
code 1 when a goal is missed on a quiet machine, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.machine import TOLERATED, Quiet, verdict
from tests.support.analysis import read_packets
from tests.support.comparison import lost_frames, video_units
from tests.support.impairment import Impairment, SeededImpairment
from tests.support.netns import NetworkNamespace, why_unavailable
from tests.support.tcp_proxy import TcpProxy

import pyegress
from pyegress.codecs import Codec
from pyegress.demo.cast import Cast, Person
from pyegress.demo.publishers import Content
from pyegress.demo.server import LiveKitServer
from pyegress.worker.session import RecordingSession

ROOM, DELAY = "bench", 0.04
#: Seconds between cuts of the signal connection, and how the recorder's silence ends.
_CUT_EVERY, _SILENCE = 3.0, b"\xff\xfe"


@dataclass(frozen=True, slots=True)
class Goal:
    """Least share of frames and packets (0..1), longest time without any in seconds."""

    share: float
    gap: float


STRICT, HARSH, NOTHING_LOST = Goal(0.995, 0.5), Goal(0.97, 5.0), Goal(1.0, 0.5)
SEAMS = {
    "5 %, 40 ms": (Impairment(loss=0.05, delay=DELAY), STRICT),
    "5 % in bursts of 4, jitter 20 ms": (Impairment(loss=0.05, burst=4, delay=DELAY, jitter=0.02), STRICT),
    "15 %, 40 ms": (Impairment(loss=0.15, delay=DELAY), HARSH),
    "10 % reordered, 10 % doubled": (
        Impairment(delay=0.005, reorder=0.1, reorder_by=0.03, duplicate=0.1),
        NOTHING_LOST,
    ),
}
KERNEL = {"kernel 5 %": (0.05, STRICT), "kernel 15 %": (0.15, HARSH)}
CUTS = "signalling cut 5 times"


@dataclass(frozen=True, slots=True)
class Row:
    """What one recording has of one kind of media."""

    network: str
    kind: str
    codec: str
    there: int
    lost: int
    gap: float
    goal: Goal

    @property
    def share(self) -> float:
        return 1 - self.lost / self.there if self.there else 0.0

    @property
    def missed(self) -> bool:
        return self.share < self.goal.share or self.gap > self.goal.gap


def video_row(network: str, path: Path, reference: Path, codec: Codec, goal: Goal) -> Row:
    """Look for each frame of the reference between the first and the last that the recording has."""
    mine = read_packets(path, "video")
    compared = lost_frames(video_units(path, codec), video_units(reference, codec))
    gap = max((after.pts or 0.0) - (before.pts or 0.0) for before, after in pairwise(mine))
    return Row(network, "video", codec.label, compared.there, compared.lost, gap, goal)


def audio_row(network: str, path: Path, goal: Goal) -> Row:
    """Sound was published without a pause: what is silence, or no packet at all, is lost."""
    times = [packet.pts or 0.0 for packet in read_packets(path, "audio") if not packet.data.endswith(_SILENCE)]
    there = round((times[-1] - times[0]) / 0.02) + 1
    gap = max(after - before for before, after in pairwise(times))
    return Row(network, "audio", Codec.OPUS.label, there, there - len(times), gap, goal)


async def record_all(server: LiveKitServer, folder: Path, seconds: float, namespace: NetworkNamespace | None) -> None:
    """Record the same participant over every network at the same time; files are named by network."""

    def recording(name: str, url: str = "", length: float = seconds) -> pyegress.Recording:
        return pyegress.record_participant(
            copy=True,
            room=ROOM,
            identity="ada",
            output=folder / name,
            url=url or server.url,
            api_key=server.api_key,
            api_secret=server.api_secret,
            duration=length,
        )

    async with TcpProxy(server.bind, server.port) as proxy, asyncio.TaskGroup() as group:
        group.create_task(_run(recording("undisturbed", length=seconds + 4)))
        await asyncio.sleep(1.5)
        tasks = []
        for seed, (name, (impairment, _)) in enumerate(SEAMS.items()):
            session = RecordingSession(recording(name).plan, seam=SeededImpairment(seed, impairment))
            tasks.append(group.create_task(session.run()))
        tasks.append(group.create_task(_run(recording(CUTS, proxy.url))))
        cutting = group.create_task(_cut(proxy))
        await asyncio.wait(tasks)
        cutting.cancel()
        if namespace is not None:
            for name, (loss, _) in KERNEL.items():
                namespace.impair(loss=loss, loss_out=loss)
                await asyncio.gather(
                    _run(recording(f"undisturbed, {name}", length=seconds + 6)),
                    asyncio.to_thread(_record_inside, namespace, server, folder / name, seconds),
                )
                print(f"{name}: {namespace.tally('in').loss:.4f} of {namespace.tally('in').seen} packets dropped")


async def _run(recording: pyegress.Recording) -> pyegress.RecordingResult:
    async with recording:
        result = await recording.wait()
    result.check()
    return result


async def _cut(proxy: TcpProxy) -> None:
    for _ in range(5):
        await asyncio.sleep(_CUT_EVERY)
        proxy.cut()


def _record_inside(namespace: NetworkNamespace, server: LiveKitServer, path: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "pyegress", "record", "participant", "--copy", "--room", ROOM, "--identity", "ada"]
    keys = {"LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
    with namespace.popen(
        [*command, "--output", str(path), "--duration", f"{seconds:g}s"],
        env=os.environ | keys | {"LIVEKIT_URL": server.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        process.wait(seconds + 60)


def measure(codec: Codec, seconds: float) -> list[Row]:
    """All networks, one codec."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        namespace = None
        if reason := why_unavailable():
            print(f"without the kernel's loss: {reason}")
        else:
            namespace = stack.enter_context(NetworkNamespace())
        bind = namespace.outside if namespace is not None else "127.0.0.1"
        server = stack.enter_context(LiveKitServer(folder / "server", bind=bind))
        content = Content(
            participant=3, codec=codec, encoded=True, bitrate=400_000, continuous=True, dtx=False, gop=4, phases=40
        )
        stack.enter_context(Cast(server.url, [Person("ada", server.token("ada", ROOM), content)]))
        asyncio.run(record_all(server, folder, seconds, namespace))
        suffix = ".mp4" if codec is Codec.H264 else ".webm"
        goals = {name: goal for name, (_, goal) in SEAMS.items()} | {CUTS: NOTHING_LOST}
        rows = []
        for name, goal in goals.items():
            path, reference = folder / (name + suffix), folder / ("undisturbed" + suffix)
            rows += [video_row(name, path, reference, codec, goal), audio_row(name, path, goal)]
        for name, (_, goal) in KERNEL.items() if namespace is not None else ():
            path, reference = folder / (name + suffix), folder / (f"undisturbed, {name}" + suffix)
            rows += [video_row(name, path, reference, codec, goal), audio_row(name, path, goal)]
        return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--codecs", default="VP8,H264")
    options = parser.parse_args()
    quiet = Quiet()
    rows = [row for name in options.codecs.split(",") for row in measure(Codec[name], options.seconds)]
    print(f"{'network':<34} {'media':<6} {'codec':<6} {'frames':>6} {'lost':>5} {'there':>8} {'longest gap':>11}")
    for row in rows:
        print(
            f"{row.network:<34} {row.kind:<6} {row.codec:<6} {row.there:>6} {row.lost:>5} {row.share:>8.2%} "
            f"{row.gap:>9.3f} s{'   MISSED' if row.missed else ''}"
        )
    foreign = quiet.foreign()
    print(verdict(foreign))
    if foreign > TOLERATED:
        return 75
    missed = [row for row in rows if row.missed]
    print(f"{len(missed)} goals missed" if missed else "goals reached")
    return bool(missed)


if __name__ == "__main__":
    raise SystemExit(main())
