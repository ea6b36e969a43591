"""A composing recorder that ends badly: killed, out of space, stopped before there is anything, asked for nonsense."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pyegress.clock import monotonic
from pyegress.errors import Code, InvalidRequest
from pyegress.lifecycle.recording import RecordingState
from tests.support.analysis import av_offsets, flash_onsets, read_pictures, read_sound
from tests.support.composed import pictures_of, read_looks
from tests.support.livekit_server import LiveKitServer
from tests.support.waiting import eventually
from tests.system.compositions import SMALL, WHOLE, assert_in_step, beeps, mostly, room
from tests.system.scenes import CLIP, FPS, clip, counted, finished, prepare, publishing, recorded

pytestmark = pytest.mark.system

#: Seconds before the kill that may be missing: 2 at most by construction, the rest is for a busy machine.
PROMISE = 2.0 + 0.8
#: Seconds from the first of the file, which waited for sender reports, until rendering has caught up.
CAUGHT_UP = 4.5


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait(10)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    mount = subprocess.run(command, capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"cannot mount here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as errors:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)


async def test_killed_while_composing(
    livekit_server: LiveKitServer, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    """The MP4 plays to shortly before the kill, pictures and sound as they were published."""
    name, path = "composed-killed", tmp_path / "room.mp4"
    prepare("ada", clip())
    credentials = {
        "LIVEKIT_URL": livekit_server.url,
        "LIVEKIT_API_KEY": livekit_server.api_key,
        "LIVEKIT_API_SECRET": livekit_server.api_secret,
    }
    command = [*(sys.executable, "-m", "pyegress", "record", "room", "--room", name, "--output", str(path))]
    command += ["--width", "640", "--height", "360"]
    async with publishing(livekit_server, name) as ada:
        child = start(command, os.environ | credentials, tmp_path / "log")
        children.append(child)
        await eventually(lambda: path.exists() or child.poll() is not None, "the file begins", 60)
        assert child.poll() is None, (tmp_path / "log").read_text()
        begun = monotonic()
        await eventually(lambda: monotonic() - begun > CAUGHT_UP, "the moment of the kill", 30)
        child.kill()
        killed = monotonic()
        child.wait(10)
        log_of_ada = [frame for frame in ada.log() if frame.capture_us <= killed * 1_000_000]
    looks = read_looks(path, {"all": WHOLE})
    pictures = [picture for picture in pictures_of(looks, "all") if picture.number is not None]
    assert mostly([look.shows("all") == 3 for look in looks])
    numbers = counted(pictures, CLIP)
    assert numbers == sorted(numbers)
    assert len(set(numbers)) >= 0.8 * len(numbers), "pictures stand still"
    last = max(frame.capture_us for frame in log_of_ada if frame.index % CLIP == numbers[-1] % CLIP) / 1_000_000
    assert killed - last <= PROMISE, f"{killed - last:.2f} s are lost"
    sound = read_sound(path)
    assert sound.gaps == ()
    assert sound.start + sound.duration == pytest.approx(looks[-1].at, abs=1.0)
    assert_in_step(av_offsets(flash_onsets(pictures), beeps(path)), "sound after picture")


async def test_the_disk_runs_full(livekit_server: LiveKitServer, small_disk: Path) -> None:
    """The recording ends by itself with the error, and the file plays as far as there was space."""
    name, path = "composed-full", small_disk / "room.mp4"
    async with (
        publishing(livekit_server, name),
        room(livekit_server, name, path, video_bitrate=2500, key_frame_interval=1.0) as recording,
    ):
        result = await finished(recording, 60)
    assert result.state is RecordingState.FAILED
    assert result.error is not None
    assert result.error.message == f"Cannot write {path}: No space left on device"
    assert result.error.code is Code.RESOURCE_EXHAUSTED
    (file,) = result.files
    assert file.path == path
    assert "No space left on device" in " ".join(file.warnings)
    assert os.listdir(small_disk) == [path.name]
    pictures = read_pictures(path)
    assert pictures[-1].at == pytest.approx(file.duration, abs=0.7)
    assert mostly([picture.participant == 3 for picture in pictures if picture.at > 1.0])
    assert [gap for gap in read_sound(path).gaps if gap[1] > 0.05] == []


async def test_stopped_before_there_is_anything(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """At once, and in a room where nobody publishes: no file, no error."""
    name = "composed-short"
    at_once = room(livekit_server, name, tmp_path / "at-once.mp4")
    async with at_once:
        pass
    assert at_once.result.state is RecordingState.ABORTED
    assert at_once.result.error is None
    async with publishing(livekit_server, name, video=False, audio=False):
        async with room(livekit_server, name, tmp_path / "nothing.mp4") as nothing:
            await eventually(lambda: nothing.now.state is RecordingState.WAITING, "it has joined", 20)
        assert nothing.result.state is RecordingState.ABORTED
        assert nothing.result.error is None
        assert nothing.result.files == ()
        assert os.listdir(tmp_path) == []


async def test_a_very_short_recording(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Stopped with the first media, while rendering still waits for sender reports: what came is in the file."""
    name, path = "composed-first", tmp_path / "first.mp4"
    async with publishing(livekit_server, name), room(livekit_server, name, path) as recording:
        await recorded(recording, 1.5)
    result = recording.result
    assert result.state is RecordingState.COMPLETE
    pictures = read_pictures(path)
    assert pictures[-1].at == pytest.approx(result.duration, abs=1.5 / FPS)
    assert 0.8 <= result.duration <= 4.0
    assert [picture for picture in pictures if picture.participant == 3]
    assert read_sound(path).duration == pytest.approx(result.duration, abs=0.1)


async def test_a_layout_that_does_not_exist(livekit_server: LiveKitServer, tmp_path: Path) -> None:
    """Refused at once when asked for at the start; while recording the layout stays, with a warning."""
    with pytest.raises(InvalidRequest) as refused:
        room(livekit_server, "composed-layout", tmp_path / "no.mp4", layout="grid?colour=red")
    assert refused.value.field == "layout"
    assert "colour" in refused.value.message
    name = "composed-layout"
    async with (
        publishing(livekit_server, name, audio=False),
        room(livekit_server, name, tmp_path / "layout.mp4", **SMALL | {"layout": "grid"}) as recording,
    ):
        await recorded(recording, 1.0)
        (us,) = [one.identity for one in await livekit_server.participants(name) if one.permission.recorder]
        await livekit_server.update_participant(name, us, metadata='{"layout": "grid?colour=red"}')
        await recorded(recording, 3.0)
    recording.result.check()
    (warning,) = recording.result.warnings
    assert warning.startswith("The layout was not changed: ")
    assert "colour" in warning
    looks = read_looks(tmp_path / "layout.mp4", {"all": WHOLE})
    assert mostly([look.shows("all") == 3 for look in looks if look.at > 0.5])
