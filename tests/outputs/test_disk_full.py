"""A real file system that runs full, while recording and while finishing."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyegress.codecs import Codec
from pyegress.errors import Code, Fault, OutputFailed
from pyegress.outputs.file_writer import FileWriter
from pyegress.outputs.left_file import finish_left
from pyegress.plan.containers import Container
from tests.outputs.media import COMBINATIONS, Combination, placed, published, read_back, recovered, spec_of

pytestmark = pytest.mark.media

SIZE = 128 << 10
RECORDED = [c for c in COMBINATIONS if str(c) in ("H264+OPUS.mp4", "OPUS.mp4", "VP8+OPUS.webm", "OPUS.ogg", "PCMU.wav")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"cannot mount here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(writer: FileWriter, combination: Combination, seconds: float = 3.0) -> tuple[OutputFailed | None, list[int]]:
    """Write until the disk refuses, at most 100 turns; the error, and the frames that were written by stream."""
    streams = combination.frames(seconds)
    counts = [0] * len(streams)
    for turn in range(100):
        for stream, frame, pts in placed(streams):
            try:
                writer.write(stream, frame, pts + round(turn * seconds * frame.codec.clock_rate))
            except OutputFailed as error:
                return error, counts
            counts[stream] += 1
    return None, counts


def assert_holds(path: Path, combination: Combination, counts: list[int], slack: float) -> None:
    """The file has all that was written, up to `slack` seconds."""
    back = read_back(path)
    for frames, track, count in zip(combination.frames(3.0), back.tracks, counts, strict=True):
        rate = 25 if frames[0].codec.value.clock_rate == 90_000 else 50
        if combination.container is Container.WAV:
            assert sum(map(len, track.payloads)) >= (count - slack * rate) * 160
            continue
        assert len(track.payloads) >= count - slack * rate - 1
        for number, payload in enumerate(track.payloads):
            frame = frames[number % len(frames)]
            assert recovered(frame.codec, payload) == published(frame)


@pytest.mark.parametrize("combination", RECORDED, ids=str)
def test_a_full_disk_stops_the_recording_and_keeps_what_is_there(small_disk: Path, combination: Combination) -> None:
    path = small_disk / f"a{combination.extension}"
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in combination.frames(3.0)])
    error, counts = fill(writer, combination)
    assert error is not None
    assert error.message == f"Cannot write {path}: No space left on device"
    assert error.remedy == "Free space there or choose another disk"
    assert (error.code, error.fault) == (Code.RESOURCE_EXHAUSTED, Fault.DESTINATION)
    with pytest.raises(OutputFailed, match="No space left"):
        writer.write(0, combination.frames(3.0)[0][0], 10**9)
    assert_holds(path, combination, counts, slack=0.6)
    result = writer.close()
    assert not result.optimised
    assert "No space left on device" in result.warning
    assert os.listdir(small_disk) == [path.name]
    assert result.size == path.stat().st_size > SIZE // 2
    assert_holds(path, combination, counts, slack=0.6)


def test_no_space_for_the_finished_file_keeps_the_recording(small_disk: Path) -> None:
    combination = next(c for c in RECORDED if str(c) == "OPUS.mp4")
    path = small_disk / "a.mp4"
    [frames] = combination.frames(3.0)
    writer = FileWriter(path, Container.MP4, [spec_of(frames)])
    count = 0
    while writer.bytes_written < SIZE * 2 // 3:
        writer.write(0, frames[count % 150], count * 960)
        count += 1
    result = writer.close()
    assert not result.optimised
    assert result.warning == (
        f"Cannot finish {path}: No space left on device. The file plays, but seeking in it may be slow. "
        "Free space there or choose another disk"
    )
    assert os.listdir(small_disk) == ["a.mp4"]
    assert_holds(path, combination, [count], slack=0)
    assert result.duration == count * 0.02


def test_a_disk_that_is_full_from_the_start_leaves_no_file(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(SIZE))
    with pytest.raises(OutputFailed, match="No space left on device"):
        FileWriter(small_disk / "a.mp4", Container.MP4, [spec_of(RECORDED[0].frames(3.0)[0])])
    assert os.listdir(small_disk) == ["ballast"]


def test_a_file_size_limit_is_named(tmp_path: Path) -> None:
    combination = next(c for c in COMBINATIONS if c.codecs == (Codec.PCMU,))
    writer = FileWriter(tmp_path / "a.wav", Container.WAV, [spec_of(combination.frames(3.0)[0])])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        error, _ = fill(writer, combination)
        result = writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error is not None
    assert "File too large" in error.message
    assert "ulimit" in error.remedy
    assert result.size <= 100_000


def test_what_a_killed_process_left_on_a_full_disk_plays_and_is_finished_later(
    small_disk: Path, tmp_path: Path
) -> None:
    """Without space for the ordinary file the recording stays as it is, and says so; with space it becomes one."""
    combination = next(c for c in RECORDED if str(c) == "H264+OPUS.mp4")
    path = small_disk / "a.mp4"
    writer = FileWriter(path, Container.MP4, [spec_of(frames) for frames in combination.frames(3.0)])
    _, counts = fill(writer, combination)
    writer.abort()
    left = finish_left(path)
    assert left is not None
    assert "No space left on device" in left.warning
    assert "The file plays" in left.warning
    assert os.listdir(small_disk) == ["a.mp4"]
    assert_holds(path, combination, counts, slack=0.6)
    assert finish_left(path) == left
    roomy = tmp_path / "a.mp4"
    shutil.copyfile(path, roomy)
    finished = finish_left(roomy)
    assert finished is not None
    assert finished.warning == ""
    assert finished.duration == left.duration
    assert_holds(roomy, combination, counts, slack=0.6)
