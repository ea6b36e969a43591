from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyegress.clock import Monotonic, monotonic
from pyegress.codecs import Codec
from pyegress.errors import EgressError, OutputFailed
from pyegress.outputs import writer_thread
from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.progressive_mp4 import media_start
from pyegress.outputs.writer_thread import WriterThread
from pyegress.outputs.written import Written
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from tests.outputs.media import opus, placed, published, read_back, recovered, spec_of, video

pytestmark = pytest.mark.media

DEADLINE = 20.0


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + DEADLINE
    while not condition():
        assert monotonic() < deadline, f"waited {DEADLINE} s: {what}"
        await asyncio.sleep(0.01)


def writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("writer ")]


class Gate:
    """A disk that stops and goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        original = GrowingFile.append

        def append(file: GrowingFile, data: bytes) -> int:
            assert self.open.wait(DEADLINE)
            return original(file, data)

        monkeypatch.setattr(GrowingFile, "append", append)


async def test_everything_submitted_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    streams = [video(Codec.H264, 75), opus(150)]
    thread = WriterThread(path, Container.MP4, [spec_of(frames) for frames in streams])
    for stream, frame, pts in placed(streams):
        assert thread.submit(stream, frame, pts)
    result = await thread.aclose()
    assert (result.duration, result.warning, thread.error, thread.dropped.total) == (3.0, "", None, 0)
    assert thread.bytes_written == result.size == path.stat().st_size
    for frames, track in zip(streams, read_back(path).tracks, strict=True):
        assert [recovered(frames[0].codec, p) for p in track.payloads] == [published(f) for f in frames]
    assert not writers()
    assert await thread.aclose() is result
    assert not thread.submit(0, streams[0][0], 0)


@pytest.mark.parametrize(("name", "header"), [("a.mp4", 0), ("a.webm", 4096)])
async def test_what_it_tells_of_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, header: int
) -> None:
    """Behind the header, which in WebM is patched in its place: it is still there when the file is finished."""
    monkeypatch.setattr(writer_thread, "_WORTH_TELLING", 1)
    path = tmp_path / name
    container = Container.from_path(name)
    assert container is not None
    streams = [video(Codec.AV1, 50), opus(100)]
    told: list[tuple[Written, bytes]] = []

    def written(now: Written) -> None:
        with path.open("rb") as file:
            start = media_start(file.fileno()) + header
            told.append((now, file.read()[start : now.size]))

    thread = WriterThread(path, container, [spec_of(frames) for frames in streams], on_written=written)
    frames = placed(streams)
    for part in (frames[: len(frames) // 2], frames[len(frames) // 2 :]):
        before = len(told)
        for stream, frame, pts in part:
            thread.submit(stream, frame, pts)
        await until(lambda before=before: len(told) > before, "word of what is written")  # type: ignore[misc]
    await thread.aclose()
    with path.open("rb") as file:
        finished = file.read()[media_start(file.fileno()) + header :]
    assert [now.size for now, _ in told] == sorted({now.size for now, _ in told})
    assert {now.version for now, _ in told} == {0}
    assert all(finished.startswith(before) for _, before in told)
    assert any(before for _, before in told)


async def test_the_first_frame_is_on_the_disk_soon_and_the_rest_when_nothing_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    frames = video(Codec.VP8, 3)
    thread = WriterThread(path, Container.WEBM, [spec_of(frames)])
    await until(path.exists, "the file")
    thread.submit(0, frames[0], 0)
    await until(lambda: frames[0].payload in path.read_bytes(), "the first frame in the file")
    for number in (1, 2):
        thread.submit(0, frames[number], number * 3600)
    await until(lambda: frames[2].payload in path.read_bytes(), "the last frame in the file, though nothing followed")
    assert thread.queued == 0
    await thread.abort()


async def test_a_file_that_cannot_be_created_is_reported_once_on_the_loop(tmp_path: Path) -> None:
    errors: list[tuple[EgressError, threading.Thread]] = []
    thread = WriterThread(
        tmp_path,
        Container.OGG,
        [spec_of(opus(1))],
        on_failed=lambda error: errors.append((error, threading.current_thread())),
    )
    await until(lambda: bool(errors), "the error")
    assert not thread.submit(0, opus(1)[0], 0)
    [(error, where)] = errors
    assert "Is a directory" in error.message
    assert where is threading.main_thread()
    for _ in range(2):
        with pytest.raises(OutputFailed, match="Is a directory"):
            await thread.aclose()
    assert not writers()


async def test_a_disk_that_refuses_is_reported_and_the_file_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[EgressError] = []
    path = tmp_path / "a.ogg"
    thread = WriterThread(path, Container.OGG, [spec_of(opus(1))], on_failed=errors.append)
    frames = opus(100)
    for frame in frames[:50]:
        thread.submit(0, frame, frame.timestamp)
    await until(lambda: thread.queued == 0 and frames[20].payload in path.read_bytes(), "the first second")

    def refuse(file: GrowingFile, data: bytes) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(GrowingFile, "append", refuse)
    for frame in frames[50:]:
        thread.submit(0, frame, frame.timestamp)
    await until(lambda: bool(errors), "the error")
    assert not thread.submit(0, frames[0], 10**6)
    result = await thread.aclose()
    assert len(errors) == 1
    assert errors[0].message == f"Cannot write {path}: Input/output error"
    assert not result.optimised
    assert 25 <= len(read_back(path).tracks[0].payloads) <= 100
    assert not writers()


async def test_a_slow_disk_costs_frames_up_to_the_next_key_frame_and_never_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    path = tmp_path / "a.mp4"
    frames, sound = video(Codec.H264, 100), opus(400)
    limit = 40_000
    thread = WriterThread(path, Container.MP4, [spec_of(frames), spec_of(sound)], max_queued=limit)
    thread.submit(0, frames[0], 0)
    await until(lambda: path.exists() and frames[0].payload[-50:] in path.read_bytes(), "the first frame")
    gate.open.clear()
    kept = [frames[0]]
    heard = 0
    began = monotonic()
    for stream, frame, pts in placed([frames[1:], sound]):
        if stream == 1 and frame.timestamp > 48_000:
            continue
        taken = thread.submit(stream, frame, pts)
        kept += [frame] * (taken and stream == 0)
        heard += taken and stream == 1
        assert thread.queued <= limit
    assert monotonic() - began < 5.0
    first_loss = len(kept)
    assert 1 < first_loss < 100
    assert thread.dropped.frames[0] == 100 - first_loss
    gate.open.set()
    await until(lambda: thread.queued == 0, "the disk to catch up")
    late = [(frame, frame.timestamp + 400_000) for frame in frames]
    for frame, pts in late[1:]:  # begins inside a group of pictures: nothing of it could be decoded
        kept += [frame] * thread.submit(0, frame, pts)
        await until(lambda: thread.queued < limit // 2, "the disk to keep up")
    assert kept[first_loss:] == list(frames[25:])
    result = await thread.aclose()
    assert result.streams[0].frames == len(kept)
    tracks = read_back(path).tracks
    assert [recovered(Codec.H264, p) for p in tracks[0].payloads] == [published(f) for f in kept]
    assert len(tracks[1].payloads) == heard
    assert thread.dropped.frames[0] == 100 - first_loss + 24


async def test_a_disk_that_does_not_answer_bounds_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    thread = WriterThread(tmp_path / "a.ogg", Container.OGG, [spec_of(opus(1))])
    await until(lambda: thread.bytes_written > 0, "the header")
    gate.open.clear()
    thread.submit(0, opus(1)[0], 0)
    with pytest.raises(OutputFailed, match="did not answer within 0 s"):
        await thread.aclose(timeout=0.05)
    gate.open.set()
    result = await thread.aclose()
    assert result.streams[0].frames == 1
    assert not writers()


async def test_a_cancelled_close_goes_on_in_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    thread = WriterThread(tmp_path / "a.ogg", Container.OGG, [spec_of(opus(1))])
    await until(lambda: thread.bytes_written > 0, "the header")
    gate.open.clear()
    thread.submit(0, opus(1)[0], 0)
    closing = asyncio.create_task(thread.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.open.set()
    assert (await thread.aclose()).streams[0].frames == 1
    assert not writers()


async def test_abort_leaves_the_recording_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    frames = video(Codec.H264, 10)
    thread = WriterThread(path, Container.MP4, [spec_of(frames)])
    for frame in frames:
        thread.submit(0, frame, frame.timestamp)
    result = await thread.abort()
    assert not result.optimised
    assert b"moof" in path.read_bytes()
    assert len(read_back(path).tracks[0].payloads) == 10


@pytest.mark.parametrize(
    ("codec", "container", "extension"),
    [
        (Codec.H264, Container.MP4, ".mp4"),
        (Codec.AV1, Container.MP4, ".mp4"),
        (Codec.VP8, Container.WEBM, ".webm"),
        (Codec.VP9, Container.WEBM, ".mkv"),
    ],
)
async def test_a_rewrite_adds_a_stream_and_moves_the_other(
    tmp_path: Path, codec: Codec, container: Container, extension: str
) -> None:
    """Sound alone begins an Ogg file; with the picture it goes on in the container that holds both."""
    sound, frames = opus(200), video(codec, 50)
    first, second = tmp_path / "a.ogg", tmp_path / f"a{extension}"
    thread = WriterThread(first, Container.OGG, [spec_of(sound)])
    for packet in sound[:100]:
        thread.submit(0, packet, packet.timestamp)
    thread.rewrite(second, container, [spec_of(sound), spec_of(frames)], [4800])
    for packet in sound[100:]:
        thread.submit(0, packet, packet.timestamp + 4800)
    for frame in frames:
        thread.submit(1, frame, 180_000 + frame.timestamp)
    thread.rewrite(second, container, [spec_of(sound), spec_of(frames)], [0, 2700])
    result = await thread.aclose()
    assert result.path == second
    assert os.listdir(tmp_path) == [second.name]
    assert [stream.frames for stream in result.streams] == [200, 50]
    tracks = read_back(second).tracks
    assert tracks[0].payloads == [packet.payload for packet in sound]
    assert [t * 48_000 for t in tracks[0].times] == [packet.timestamp + 4800 for packet in sound]
    assert [recovered(codec, payload) for payload in tracks[1].payloads] == [published(frame) for frame in frames]
    assert [t * 90_000 for t in tracks[1].times] == [182_700 + frame.timestamp for frame in frames]
    assert not writers()


async def test_submit_costs_no_time_on_the_loop(tmp_path: Path) -> None:
    thread = WriterThread(
        tmp_path / "a.wav", Container.WAV, [spec_of([EncodedFrame(Codec.PCMU, b"x", 0, Monotonic(0))])]
    )
    began = monotonic()
    for number in range(10_000):
        assert thread.submit(0, EncodedFrame(Codec.PCMU, bytes(160), 0, Monotonic(0), duration=160), number * 160)
    assert monotonic() - began < 5.0
    assert (await thread.aclose()).size == 58 + 1_600_000
