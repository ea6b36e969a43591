"""kill -9 at any moment leaves a file that plays up to at most 2 s before it."""

from __future__ import annotations

import os
import pickle
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pyegress.clock import monotonic
from pyegress.codecs import Kind
from pyegress.outputs.disk import TEMPORARY_SUFFIX
from pyegress.outputs.file_writer import FileWriter
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.crash_child import CLOSED, WRITING
from tests.outputs.media import (
    COMBINATIONS,
    Combination,
    decode_audio,
    decode_video,
    placed,
    published,
    read_back,
    recovered,
    spec_of,
)

pytestmark = pytest.mark.media

LENGTH = 3.0
MAX_LOSS = 2.0
DEADLINE = 30.0
#: One of each way to write; the others differ in sample entries only.
KILLED = [
    c
    for c in COMBINATIONS
    if str(c) in ("H264+OPUS.mp4", "AV1.mp4", "VP8+OPUS.webm", "OPUS.webm", "OPUS.ogg", "PCMU.wav")
]
FINISHED = [c for c in KILLED if str(c) in ("H264+OPUS.mp4", "VP8+OPUS.webm", "OPUS.ogg", "PCMU.wav")]


class Child:
    """The recording process and what it says about itself."""

    def __init__(self, folder: Path, combination: Combination, mode: str, *rest: str) -> None:
        self.path = folder / f"a{combination.extension}"
        self.streams = combination.frames(LENGTH)
        frames, self._progress = folder / "frames.pickle", folder / "progress"
        frames.write_bytes(pickle.dumps((combination.container, self.streams, LENGTH)))
        self._progress.write_bytes(bytes(8 * len(self.streams) + 1))
        command = [sys.executable, "-m", "tests.outputs.crash_child"]
        self.process = subprocess.Popen([*command, str(frames), str(self.path), str(self._progress), mode, *rest])

    @property
    def state(self) -> int:
        return self._progress.read_bytes()[-1]

    @property
    def written(self) -> tuple[float, ...]:
        """Seconds that `write` has taken, by stream."""
        return struct.unpack(f"<{len(self.streams)}d", self._progress.read_bytes()[:-1])

    def wait_until_writing(self) -> None:
        deadline = monotonic() + DEADLINE
        while self.state != WRITING:
            assert self.process.poll() is None, "the recording process ended before it wrote"
            assert monotonic() < deadline, "the recording process wrote nothing"
            time.sleep(0.002)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.kill()


def assert_plays(
    path: Path, streams: Sequence[Sequence[EncodedFrame]], until: tuple[float, ...], *, container: Container
) -> None:
    """The file holds each stream from its first frame to `until` at least, unchanged, and decodes."""
    back = read_back(path)
    for frames, track, end in zip(streams, back.tracks, until, strict=True):
        codec = frames[0].codec
        if container is not Container.WAV:
            for number, payload in enumerate(track.payloads):
                assert recovered(codec, payload) == published(frames[number % len(frames)])
        else:
            sound = b"".join(frame.payload for frame in frames)
            played = b"".join(track.payloads)
            assert played == (sound * (len(played) // len(sound) + 1))[: len(played)]
        assert float(track.ends[-1]) >= end
        if codec.kind is Kind.VIDEO:
            pictures = decode_video(path)
            assert len(pictures) == len(track.payloads)
            assert pictures[-1][0] >= end - 0.1
        else:
            first, samples, _ = decode_audio(path)
            assert first + samples / codec.clock_rate >= end


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("combination", KILLED, ids=str)
def test_killed_while_recording(tmp_path: Path, children: list[Child], combination: Combination, seed: int) -> None:
    child = Child(tmp_path, combination, "write")
    children.append(child)
    child.wait_until_writing()
    time.sleep(random.Random(f"{combination} {seed}").uniform(0.0, 0.12))  # the moment of the kill, not a wait
    child.kill()
    ends = tuple(seconds - MAX_LOSS for seconds in child.written)
    assert_plays(child.path, child.streams, ends, container=combination.container)


@pytest.mark.parametrize("combination", FINISHED, ids=str)
def test_killed_before_each_step_of_finishing(tmp_path: Path, children: list[Child], combination: Combination) -> None:
    """Whatever closing has done so far, the file is whole; what it leaves beside is recognisable."""
    steps = 0
    for step in range(40):
        folder = tmp_path / str(step)
        folder.mkdir()
        child = Child(folder, combination, "close", str(step))
        children.append(child)
        child.process.wait(DEADLINE)
        streams = child.streams
        # What waited in memory may be missing until closing has flushed it: at most half a second.
        assert_plays(child.path, streams, (LENGTH - 0.6,) * len(streams), container=combination.container)
        others = set(os.listdir(folder)) - {"frames.pickle", "progress", child.path.name}
        if child.state == CLOSED:
            assert not others
            assert child.process.returncode == 0
            assert_plays(child.path, streams, (LENGTH - 0.001,) * len(streams), container=combination.container)
            break
        steps += 1
        assert all(name.endswith(TEMPORARY_SUFFIX) for name in others)
    else:
        pytest.fail("closing had more than 40 steps")
    assert steps >= {Container.MP4: 8, Container.WEBM: 5, Container.OGG: 2, Container.WAV: 3}[combination.container]


class Writes:
    """Every change to the disk, as it was asked for, with how many frames of each stream were flushed by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[int, bytes]] = []
        original = os.pwrite

        def pwrite(fd: int, data: bytes, offset: int) -> int:
            self.calls.append((offset, bytes(data)))
            return original(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", pwrite)

    def replay(self, path: Path, count: int, part: float) -> None:
        """The file after `count` calls and a part of the next one, if that one appends.

        Patches are a few bytes in place, which the kernel copies at once.
        """
        content = bytearray()
        for number, (offset, data) in enumerate(self.calls[: count + 1]):
            torn = int(part * len(data)) if offset == len(content) else 0
            piece = data[:torn] if number == count else data
            content[offset : offset + len(piece)] = piece
        path.write_bytes(content)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_a_torn_write_leaves_everything_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, combination: Combination
) -> None:
    """A kill within a write leaves a part of its bytes."""
    streams = combination.frames(LENGTH)
    writes = Writes(monkeypatch)
    path = tmp_path / f"a{combination.extension}"
    writer = FileWriter(path, combination.container, [spec_of(frames) for frames in streams])
    headers = len(writes.calls)
    flushed: list[tuple[int, tuple[int, ...]]] = [(headers, (0,) * len(streams))]
    counts = [0] * len(streams)
    for stream, frame, pts in placed(streams):
        writer.write(stream, frame, pts)
        counts[stream] += 1
        if counts[stream] == 1 or sum(counts) % 10 == 0:
            writer.flush()
            flushed.append((len(writes.calls), tuple(counts)))
    writer.close()
    chance = random.Random(str(combination))
    copy = tmp_path / f"torn{combination.extension}"
    # The first fragments are in before anybody could kill us between them: begin where each stream has frames.
    begin = next(done for done, counts in flushed if all(counts))
    for _ in range(25):
        count = chance.randrange(begin, len(writes.calls))
        writes.replay(copy, count, chance.random())
        known = max((counts for done, counts in flushed if done <= count), key=sum)
        back = read_back(copy)
        for frames, track, least in zip(streams, back.tracks, known, strict=True):
            codec = frames[0].codec
            if combination.container is Container.WAV:
                sound = b"".join(frame.payload for frame in frames)
                assert sound.startswith(b"".join(track.payloads)[: len(sound)])
                assert sum(map(len, track.payloads)) >= 160 * least
                continue
            got = [recovered(codec, payload) for payload in track.payloads]
            assert got[:least] == [published(frame) for frame in frames[:least]]
