"""A network that loses packets: what is lost is asked for again and comes into the file.

The bounds are generous, for machines that are busy themselves; `bench/loss.py` asserts what has to be reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from pyegress.demo.content import tone_of
from pyegress.room.events import Source
from pyegress.worker.session import RecordingSession
from tests.support.analysis import beep_onsets, read_pictures, read_sound
from tests.support.impairment import Impairment, SeededImpairment
from tests.support.livekit_server import LiveKitServer
from tests.support.netns import NetworkNamespace
from tests.system.scenes import count, publishing, record, the_file
from tests.system.witness import Witness

pytestmark = pytest.mark.system

SECONDS = 7.0
#: Loss -> the least share of what was forwarded in the file, and the longest time without any, seconds.
BOUNDS = {0.0: (0.98, 1.5), 0.05: (0.97, 1.5), 0.15: (0.85, 2.5)}


def assert_mostly_there(path: Path, loss: float, witness: Witness) -> None:
    """Compared with what a subscriber with a perfect network got: the publisher drops frames too when it is busy."""
    share, gap = BOUNDS[loss]
    (camera,) = witness.sids("ada", Source.CAMERA)
    compared = witness.lost(path, camera)
    assert compared.present >= share, f"{path.name} at a loss of {loss}: {compared}"
    pictures = read_pictures(path)
    numbers = count(pictures)
    assert numbers.duplicated == numbers.reordered == ()
    arrivals = [frame.timestamp / 90_000 for frame in witness.frames(camera)]
    pause = max(after - before for before, after in pairwise(arrivals))
    assert max(after.at - before.at for before, after in pairwise(pictures)) <= pause + gap
    assert len(beep_onsets(read_sound(path), tone_of(3))) >= SECONDS - 3


IMPAIRMENTS = {
    "5-percent": (0.05, Impairment(loss=0.05, delay=0.02)),
    "15-percent": (0.15, Impairment(loss=0.15, delay=0.02)),
    "bursts": (0.05, Impairment(loss=0.05, burst=4, delay=0.02, jitter=0.01)),
    "reordered": (0.0, Impairment(delay=0.005, jitter=0.01, reorder=0.1, reorder_by=0.03, duplicate=0.1)),
}


async def test_impaired_datagrams(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Several recorders of one room, each behind a bad network of its own; 40 ms there and back."""
    room = "lossy"
    sessions: dict[str, RecordingSession] = {}
    async with (
        publishing(livekit_server, room),
        Witness(livekit_server, room) as witness,
        asyncio.TaskGroup() as group,
    ):
        runs, seams = {}, {}
        for seed, (name, (_, impairment)) in enumerate(IMPAIRMENTS.items()):
            plan = record(livekit_server, room, tmp_path / name, duration=SECONDS).plan
            seams[name] = SeededImpairment(seed, impairment)
            sessions[name] = RecordingSession(plan, seam=seams[name])
            runs[name] = group.create_task(sessions[name].run())
    for name, (loss, _) in IMPAIRMENTS.items():
        assert seams[name].inbound_tally.passed > 100
        assert (seams[name].inbound_tally.dropped > 0) == (loss > 0)
        assert_mostly_there(the_file(runs[name].result()), loss, witness)


@pytest.mark.alone
@pytest.mark.parametrize("loss", [0.05, 0.15])
async def test_packets_dropped_by_the_kernel(
    new_livekit_server: Callable[..., LiveKitServer], network_namespace: NetworkNamespace, tmp_path: Path, loss: float
) -> None:
    """The recorder as people run it, in a network namespace that loses packets both ways."""
    server = new_livekit_server(bind=network_namespace.outside)
    network_namespace.impair(loss=loss, loss_out=loss)
    command = [
        *(
            sys.executable,
            "-m",
            "pyegress",
            "record",
            "participant",
            "--copy",
            "--json",
            "--room",
            "lossy",
            "--identity",
            "ada",
        ),
        *("--output", str(tmp_path / "ada.webm"), "--duration", f"{SECONDS:g}s", "--wait", "30s"),
    ]
    credentials = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
    }
    async with publishing(server, "lossy"), Witness(server, "lossy") as witness:
        with network_namespace.popen(
            command, env=os.environ | credentials, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                output, errors = await asyncio.to_thread(process.communicate, timeout=60)
            finally:
                process.kill()
    assert process.returncode == 0, errors
    (file,) = json.loads(output)["files"]
    assert_mostly_there(Path(file["path"]), loss, witness)
    assert network_namespace.tally("in").dropped > 0
