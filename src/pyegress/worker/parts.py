"""One recording as the files that it needs: mostly one, more when a codec changes or does not fit beside the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.errors import EgressError
from pyegress.outputs.written import Written
from pyegress.room.events import SenderReportSeen
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.copy_file import CopyFile
from pyegress.worker.feed import Feed

logger = logging.getLogger(__name__)


class Parts:
    """A `TrackTarget` for the feeds of one recording. `path_for(codecs, part)` names part 1, 2, ... or raises."""

    def __init__(
        self,
        *,
        path_for: Callable[[frozenset[Codec], int], Path],
        metadata: Mapping[str, str],
        clip: float | None,
        on_failed: Callable[[EgressError], None],
        on_warning: Callable[[str], None],
        on_grown: Callable[[Path, Written], None] = lambda path, written: None,
    ) -> None:
        self._path_for = path_for
        self._metadata = metadata
        self._clip = clip
        self._on_failed = on_failed
        self._on_warning = on_warning
        self._on_grown = on_grown
        self._count = 0
        self._feeds: set[Feed] = set()
        self._main = self._new_file()
        #: Feeds whose codec does not fit into the main file: a file of their own.
        self._beside: dict[Feed, CopyFile] = {}
        self._over: list[CopyFile] = []
        self._finishing: dict[CopyFile, asyncio.Task[None]] = {}

    @property
    def files(self) -> list[CopyFile]:
        """All files so far, in the order of their numbers."""
        return [*self._over, self._main, *dict.fromkeys(self._beside.values())]

    @property
    def paths(self) -> list[Path]:
        """Where the files are, as far as they have begun."""
        return [file.path for file in self.files if file.path is not None]

    @property
    def begun(self) -> Monotonic | None:
        """When the first frame arrived."""
        return min((file.begun for file in self.files if file.begun is not None), default=None)

    @property
    def bytes_written(self) -> int:
        return sum(file.bytes_written for file in self.files)

    def begin_stream(self, feed: Feed, codec: Codec) -> None:
        self._feeds.add(feed)
        self._file_of(feed).begin_stream(feed, codec)

    def report(self, feed: Feed, report: SenderReportSeen) -> None:
        self._file_of(feed).report(feed, report)

    def end_stream(self, feed: Feed) -> None:
        self._feeds.discard(feed)
        self._file_of(feed).end_stream(feed)

    def frame(self, feed: Feed, frame: EncodedFrame) -> None:
        file = self._file_of(feed)
        held = file.codecs.get(feed.kind)
        if held is None and file.codecs:
            file = self._fitting(feed, frame, file)
        elif held is not None and held is not frame.codec:
            if not frame.keyframe or not file.takes_over(feed):
                return
            file = self._next_part(feed, frame, file)
        file.frame(feed, frame)

    def tick(self, now: Monotonic) -> None:
        for file in (self._main, *dict.fromkeys(self._beside.values())):
            file.tick(now)

    def close(self, end: Monotonic | None = None) -> None:
        """Begin to finish every file, with silence up to `end` (None: it ends with its last frame). Idempotent."""
        for file in self.files:
            self._finish(file, end)

    async def finish(self, end: Monotonic | None = None) -> None:
        """Finish every file. One that cannot be finished is reported and does not hinder the others."""
        self.close(end)
        for outcome in await asyncio.gather(*self._finishing.values(), return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def _finish(self, file: CopyFile, end: Monotonic | None) -> None:
        if file not in self._finishing:
            self._finishing[file] = asyncio.create_task(self._finish_one(file, end), name="finish file")

    async def _finish_one(self, file: CopyFile, end: Monotonic | None) -> None:
        try:
            await file.finish(end)
        except EgressError as error:
            self._on_failed(error)

    def _file_of(self, feed: Feed) -> CopyFile:
        return self._beside.get(feed, self._main)

    def _new_file(self) -> CopyFile:
        self._count += 1
        part = self._count
        return CopyFile(
            part=part,
            path_for=lambda codecs: self._path_for(codecs, part),
            metadata=self._metadata,
            clip=self._clip,
            on_failed=self._on_failed,
            on_grown=self._on_grown,
        )

    def _fitting(self, feed: Feed, frame: EncodedFrame, file: CopyFile) -> CopyFile:
        """The main file if the codec fits beside what it holds, else a file of its own."""
        try:
            self._path_for(frozenset({*file.codecs.values(), frame.codec}), file.part)
        except EgressError as error:
            beside = (other for other in self._beside.values() if other.codecs.get(feed.kind) is frame.codec)
            if (own := next(beside, None)) is None:
                self._on_warning(f"The {feed.source} of {feed.identity!r} goes into another file: {error.message}")
                own = self._new_file()
            self._beside[feed] = own
            own.begin_stream(feed, frame.codec)
            return own
        return file

    def _next_part(self, feed: Feed, frame: EncodedFrame, file: CopyFile) -> CopyFile:
        """The codec changed: what is there is finished, the recording goes on in the next file."""
        logger.info("%s of %s changed its codec to %s", feed.source, feed.identity, frame.codec.label)
        new = self._new_file()
        self._over.append(file)
        self._finish(file, None)
        if file is self._main:
            self._main = new
            moving = [other for other in self._feeds if other not in self._beside]
        else:
            self._beside[feed] = new
            moving = [feed]
        for other in moving:
            if other.codec is not None:
                new.begin_stream(other, other.codec)
        return new
