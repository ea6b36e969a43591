"""The one file of a composition: when it begins, what is in it, what is left when little came."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pyegress.clock import Wall
from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError, OutputFailed
from pyegress.outputs.file_writer import FileResult
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import InPlace
from pyegress.worker.encoded_file import EncodedFile
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import RecordedFile
from tests.outputs.media import frames_of, read_back
from tests.support.waiting import eventually

pytestmark = [pytest.mark.media, pytest.mark.usefixtures("no_tasks_left")]

BOTH = frozenset(Kind)
PICTURES, SOUND = frames_of(Codec.VP8, 2.0), frames_of(Codec.OPUS, 2.0)


def spec(first: EncodedFrame) -> StreamSpec:
    return StreamSpec(first.codec, first.size, first)


class Opened:
    def __init__(self, path: Path, kinds: frozenset[Kind] = BOTH) -> None:
        self.path = path
        self.failures: list[EgressError] = []
        self.result: FileResult | None = None
        self.dropped = 0
        source = Source(
            kinds=kinds,
            spec_for=spec,
            started_at=lambda: Wall(1e9),
            describe=self.describe,
            request_keyframe=lambda: None,
        )
        self.file = EncodedFile(path, Container.WEBM, source, InPlace(), metadata={}, on_failed=self.failures.append)

    def describe(self, result: FileResult, dropped: int) -> RecordedFile:
        self.result, self.dropped = result, dropped
        return RecordedFile(result.path, result.size, result.duration, (), "", "", Wall(1e9), 0.0, result.duration)

    def take(self, kind: Kind, frames: tuple[EncodedFrame, ...]) -> None:
        for frame in frames:
            self.file.packet(kind, frame)


async def test_it_begins_when_every_kind_has_come(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "x.webm")
    opened.take(Kind.AUDIO, SOUND[:50])
    assert not opened.path.exists()
    opened.take(Kind.VIDEO, PICTURES[:1])
    await eventually(lambda: opened.file.bytes_written > 0, "the file")
    opened.take(Kind.VIDEO, PICTURES[1:])
    opened.take(Kind.AUDIO, SOUND[50:])
    (file,) = (await opened.file.finish()).files
    result = opened.result
    assert result is not None
    assert opened.dropped == 0
    assert file.location == str(opened.path)
    assert [stream.codec for stream in result.streams] == [Codec.VP8, Codec.OPUS], "pictures first"
    video, audio = read_back(opened.path).tracks
    assert video.payloads == [frame.payload for frame in PICTURES]
    assert audio.payloads == [frame.payload for frame in SOUND]
    assert result.duration == pytest.approx(2.0, abs=0.05)
    assert not opened.failures


async def test_packets_come_from_two_threads(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "x.webm")
    threads = [
        threading.Thread(target=opened.take, args=(kind, frames))
        for kind, frames in ((Kind.VIDEO, PICTURES), (Kind.AUDIO, SOUND))
    ]
    for thread in threads:
        thread.start()
    await eventually(lambda: not any(thread.is_alive() for thread in threads), "both threads")
    assert (await opened.file.finish()).made
    video, audio = read_back(opened.path).tracks
    assert (len(video.payloads), len(audio.payloads)) == (len(PICTURES), len(SOUND))
    assert video.times == sorted(video.times)


async def test_only_one_kind_ever_came(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "x.webm")
    opened.take(Kind.AUDIO, SOUND)
    await opened.file.finish()
    result = opened.result
    assert result is not None
    assert [stream.codec for stream in result.streams] == [Codec.OPUS]


async def test_one_kind_is_expected(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "x.webm", frozenset({Kind.VIDEO}))
    opened.take(Kind.VIDEO, PICTURES)
    await eventually(lambda: opened.file.bytes_written > 0, "the file")
    assert (await opened.file.finish()).made
    assert len(read_back(opened.path).tracks) == 1


async def test_nothing_came(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "x.webm")
    assert not (await opened.file.finish()).made
    assert (opened.file.bytes_written, opened.file.paths) == (0, [])
    assert not opened.path.exists()


async def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    opened = Opened(tmp_path / "file" / "x.webm")
    opened.take(Kind.AUDIO, SOUND)
    opened.take(Kind.VIDEO, PICTURES)
    await eventually(lambda: opened.failures, "what went wrong")
    (error,) = (await opened.file.finish()).errors
    assert isinstance(error, OutputFailed)
