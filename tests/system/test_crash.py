"""kill -9 at any moment: what was recorded until two seconds before plays, and nothing is in the way afterwards."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pyegress.clock import monotonic
from pyegress.codecs import Codec
from pyegress.demo.feeds import SubmittedFrame
from pyegress.outputs.disk import TEMPORARY_SUFFIX
from tests.support.analysis import beep_onsets, read_pictures, read_sound
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually
from tests.system.scenes import CLIP, clip, count, counted, prepare, publishing, record, recorded, the_file

pytestmark = pytest.mark.system

#: Seconds before the kill that may be missing.
PROMISE = 2.0


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait(10)


def start(server: LiveKitServer, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    credentials = {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
    }
    command = [sys.executable, "-m", "pyegress", "record", *arguments]
    with log.open("wb") as errors:
        return subprocess.Popen(command, env=os.environ | credentials, stdout=subprocess.DEVNULL, stderr=errors)


def captured_at(path: Path, log: list[SubmittedFrame]) -> float:
    """When the last picture of the file was due at the publisher, on the monotonic clock; it ran for one clip at most
    twice, so the last repetition is meant."""
    last = counted(read_pictures(path))[-1] % CLIP
    return max(frame.capture_us for frame in log if frame.index % CLIP == last) / 1_000_000


async def test_killed_while_recording(
    livekit_server: LiveKitServer, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    room, dice = "killed", random.Random(20_26)
    codecs = {"ada": Codec.VP8, "bob": Codec.H264}
    for name, codec in codecs.items():
        prepare(name, clip(codec))
    folder, logs = tmp_path / "files", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    paths = {
        "webm": folder / "ada.webm",
        "mp4": folder / "bob.mp4",
        "ogg": folder / "ada.ogg",
    }
    async with AsyncExitStack() as stack:
        ada, bob = [
            await stack.enter_async_context(publishing(livekit_server, room, name, clip(codec)))
            for name, codec in codecs.items()
        ]
        common = ("--room", room, "--output")
        commands = {
            "webm": ("participant", "--copy", "--identity", "ada", *common, str(paths["webm"])),
            "mp4": ("participant", "--copy", "--identity", "bob", *common, str(paths["mp4"])),
            "ogg": ("track", "--identity", "ada", "--source", "microphone", *common, str(paths["ogg"])),
        }
        begun: dict[str, float] = {}
        killed: dict[str, float] = {}

        async def run(name: str, patience: float) -> None:
            log = logs / f"{name}.log"
            child = start(livekit_server, log, *commands[name])
            children.append(child)
            await eventually(lambda: paths[name].exists() or child.poll() is not None, f"{name} begins", 60)
            assert child.poll() is None, log.read_text()
            begun[name] = monotonic()
            await eventually(lambda: monotonic() - begun[name] > patience, "the moment of the kill", 30)
            child.kill()
            killed[name] = monotonic()
            child.wait(10)

        async with asyncio.TaskGroup() as group:
            for name in commands:
                group.create_task(run(name, dice.uniform(3.0, 5.0)))
        for kind, path in paths.items():
            owner = bob if path.stem == "bob" else ada
            if kind != "ogg":
                submitted = [frame for frame in owner.log() if frame.capture_us <= killed[kind] * 1_000_000]
                assert captured_at(path, submitted) >= killed[kind] - PROMISE, path.name
            sound = read_sound(path)
            assert [gap for gap in sound.gaps if gap[1] > 0.05] == []
            assert beep_onsets(sound, owner.tone)
            assert sound.start + sound.duration >= killed[kind] - begun[kind] - PROMISE, path.name
        # What the killed one left is no hindrance for the next.
        left = set(os.listdir(folder)) - {path.name for path in paths.values()}
        assert all(name.endswith(TEMPORARY_SUFFIX) for name in left), left
        async with record(livekit_server, room, paths["mp4"], "bob", overwrite=True) as again:
            await recorded(again, 2.0)
    pictures = read_pictures(the_file(again.result))
    assert count(pictures).duplicated == ()
    assert sorted(os.listdir(folder)) == sorted(path.name for path in paths.values())
