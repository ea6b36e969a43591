"""A segment sink without a room: encoded streams as encoders give them, and storages that take their time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pyegress.clock import Wall
from pyegress.errors import EgressError
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.encodings import AudioCodec, VideoCodec
from pyegress.plan.output_names import SegmentNames
from pyegress.plan.recording_plan import NameSuffix, SegmentFormat, SegmentOutput
from pyegress.plan.storage import LocalStorage
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivered, InPlace, ObjectKind
from pyegress.worker.output_sink import Source
from pyegress.worker.segment_sink import SegmentSink
from tests.outputs.hls.streams import SECONDS, Streams, encoded, in_order
from tests.support.files import files_below

STARTED = Wall(1_795_000_000.25)
TS, FMP4 = SegmentFormat.MPEG_TS, SegmentFormat.FMP4


def output(format_: SegmentFormat = TS, *, suffix: NameSuffix = NameSuffix.INDEX, part: float = 0.0) -> SegmentOutput:
    names = SegmentNames("show/all.m3u8", "show/live.m3u8", "show/parts of it/s#1")
    return SegmentOutput(names, format_, suffix, 1, LocalStorage(), part=part)


def files(folder: Path) -> list[Path]:
    return list(files_below(folder))


class Slow(InPlace):
    """Objects are there when the test says so."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.segments: list[tuple[str, asyncio.Future[Delivered]]] = []
        self.playlists: list[str] = []

    def deliver(self, path: Path, kind: ObjectKind) -> asyncio.Future[Delivered]:
        if kind is ObjectKind.PLAYLIST:
            self.playlists.append(path.name)
            return super().deliver(path, kind)
        assert path.is_file()
        future: asyncio.Future[Delivered] = asyncio.get_running_loop().create_future()
        self.segments.append((path.name, future))
        return future

    def arrive(self, number: int) -> None:
        name, future = self.segments[number]
        future.set_result(Delivered(name, name, 0))


class Playing:
    """A sink that is given encoded streams."""

    def __init__(
        self,
        tmp_path: Path,
        output: SegmentOutput,
        streams: Streams | None = None,
        *,
        slow: bool = False,
        copied: bool = False,
    ) -> None:
        self.errors: list[EgressError] = []
        self.copied = copied
        self.folder = tmp_path / "show"
        self.delivery = Slow(str(tmp_path)) if slow else InPlace(str(tmp_path))
        self.streams = streams or encoded(VideoCodec.H264, AudioCodec.AAC)
        self._specs = {spec.codec.kind: spec for spec in self.streams[0]}
        source = Source(
            kinds=frozenset(self._specs),
            spec_for=self._spec,
            started_at=lambda: STARTED,
            describe=lambda result, dropped: pytest.fail("a file"),
            request_keyframe=lambda: None,
            copied=frozenset(self._specs) if copied else frozenset(),
        )
        self.sink = SegmentSink(output, source, self.delivery, on_failed=self.errors.append)

    def _spec(self, first: EncodedFrame) -> StreamSpec:
        if self.copied:
            return StreamSpec(first.codec, first.size, first)
        return self._specs[first.codec.kind]

    def play(self, start: float = 0.0, end: float = SECONDS) -> None:
        for index, frame in in_order(*self.streams):
            kind = self.streams[0][index].codec.kind
            if start <= max(0.0, frame.timestamp / self.streams[0][index].clock_rate) < end:
                self.sink.packet(kind, frame)
