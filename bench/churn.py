"""Everybody comes and goes while every track is recorded: what is missing, and what is left of it in the recorder.

Run: python -m bench.churn [--people 10] [--changes 150] [--seed 1]

Exit code 1 when something is missing or left, 75 when the machine was too busy to judge.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil
from bench.machine import TOLERATED, Quiet, verdict
from tests.system.churn import Churn, problems

from pyegress.clock import monotonic
from pyegress.demo.publishers import release_sdk
from pyegress.demo.server import LiveKitServer

ROOM = "bench"
#: Seconds that a publication must send to be missed, and for which nothing of it may be missing.
LEAST, SLACK = 1.0, 1.5


def held(pid: int) -> dict[str, int]:
    """What a process holds now."""
    process = psutil.Process(pid)
    files = [file.path for file in process.open_files() if not file.path.startswith(("/dev/", "/proc/"))]
    return {"threads": process.num_threads(), "sockets": len(process.net_connections()), "open files": len(files)}


async def churn(server: LiveKitServer, options: argparse.Namespace, recorder: int) -> tuple[Churn, dict[str, int]]:
    """Make all changes; gives them, and what the recorder held when everybody had left."""
    everybody = Churn(server, ROOM, options.people, options.seed, phases=8)
    everybody.prepare()
    begun = monotonic()
    try:
        await everybody.run(options.changes, pause=0.25)
    finally:
        print(f"{dict(sorted(everybody.changes.items()))} in {monotonic() - begun:.0f} s", flush=True)
        await everybody.leave_all()
    await asyncio.sleep(3.0)
    return everybody, held(recorder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--changes", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    quiet = Quiet()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(folder / "server"))
        directory = folder / "tracks"
        command = [sys.executable, "-m", "pyegress", "record", "tracks", "--room", ROOM, "--wait", "0"]
        keys = {"LIVEKIT_URL": server.url, "LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
        log = stack.enter_context((folder / "log").open("w+"))
        # A room that stays while nobody is in it.
        asyncio.run(_make_room(server))
        recorder = stack.enter_context(
            subprocess.Popen([*command, "--output", str(directory)], env=os.environ | keys, stdout=log, stderr=log)
        )
        stack.callback(recorder.kill)
        before = asyncio.run(_joined(server, recorder))
        everybody, after = asyncio.run(churn(server, options, recorder.pid))
        recorder.send_signal(signal.SIGINT)
        code = recorder.wait(60)
        found = problems(directory, everybody.publications, least=LEAST, slack=SLACK)
        found += [
            f"{what}: {before[what]} before, {count} after" for what, count in after.items() if count > before[what]
        ]
        if code != 0:
            found.append(f"the recorder ended with {code}: {(folder / 'log').read_text()[-2000:]}")
    foreign = quiet.foreign()
    publications = everybody.publications
    long = [one for one in publications if any(end - start >= LEAST for start, end in one.audible())]
    print(f"{len(publications)} publications, {len(long)} of them sent for {LEAST:g} s or more")
    print("\n".join(found) if found else "all of them recorded, nothing left behind")
    print(verdict(foreign))
    if found and foreign > TOLERATED:
        return 75
    return bool(found)


async def _make_room(server: LiveKitServer) -> None:
    from livekit import api

    async with server.admin() as client:
        await client.room.create_room(api.CreateRoomRequest(name=ROOM, empty_timeout=600, departure_timeout=600))


async def _joined(server: LiveKitServer, recorder: subprocess.Popen[bytes]) -> dict[str, int]:
    """What the recorder holds when it has joined and nobody else is there."""
    while not await server.participants(ROOM):
        if recorder.poll() is not None:
            raise RuntimeError(f"the recorder ended with {recorder.returncode}")
        await asyncio.sleep(0.2)
    await asyncio.sleep(2.0)
    return held(recorder.pid)


if __name__ == "__main__":
    try:
        code = main()
    finally:
        release_sdk()
    raise SystemExit(code)
