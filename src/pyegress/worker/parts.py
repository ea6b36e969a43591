"""One recording as the files that it needs: mostly one, more when a codec changes or does not fit beside the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.errors import EgressError
from pyegress.room.events import SenderReportSeen
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.copy_file import CopyFile
from pyegress.worker.feed import Feed
from pyegress.worker.progress import RecordedFile

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
    ) -> None:
        self._path_for = path_for
        self._metadata = metadata
        self._clip = clip
        self._on_failed = on_failed
        self._on_warning = on_warning
        self._count = 0
        self._feeds: set[Feed] = set()
        self._main = self._new_file()
        #: Feeds whose codec does not fit into the main file: a file of their own.
        self._beside: dict[Feed, CopyFile] = {}
        self._over: list[CopyFile] = []
        self._finishing: dict[CopyFile, asyncio.Task[RecordedFile | None]] = {}

    @property
    def files(self) -> list[CopyFile]:
        """All files so far, in the order of their numbers."""
        return [*self._over, self._main, *self._beside.values()]

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
            if not frame.keyframe:
                return
            file = self._next_part(feed, frame, file)
        file.frame(feed, frame)

    def tick(self, now: Monotonic) -> None:
        self._main.tick(now)
        for file in self._beside.values():
            file.tick(now)

    async def finish(self, end: Monotonic | None, zero: Monotonic) -> list[RecordedFile]:
        """Finish every file; one that cannot be finished is reported and does not hinder the others."""
        pending = [self._finishing.get(file) or asyncio.ensure_future(file.finish(end, zero)) for file in self.files]
        finished: list[RecordedFile] = []
        for outcome in await asyncio.gather(*pending, return_exceptions=True):
            if isinstance(outcome, EgressError):
                self._on_failed(outcome)
            elif isinstance(outcome, BaseException):
                raise outcome
            elif outcome is not None:
                finished.append(outcome)
        return finished

    def _file_of(self, feed: Feed) -> CopyFile:
        return self._beside.get(feed, self._main)

    def _new_file(self) -> CopyFile:
        self._count += 1
        part = self._count
        return CopyFile(
            path_for=lambda codecs: self._path_for(codecs, part),
            metadata=self._metadata,
            clip=self._clip,
            on_failed=self._on_failed,
        )

    def _fitting(self, feed: Feed, frame: EncodedFrame, file: CopyFile) -> CopyFile:
        """The main file if the codec fits beside what it holds, else a file of its own."""
        try:
            self._path_for(frozenset({*file.codecs.values(), frame.codec}), 1)
        except EgressError as error:
            self._on_warning(f"{feed.source} of {feed.identity} goes into a file of its own: {error.message}")
            own = self._beside[feed] = self._new_file()
            own.begin_stream(feed, frame.codec)
            return own
        return file

    def _next_part(self, feed: Feed, frame: EncodedFrame, file: CopyFile) -> CopyFile:
        """The codec changed: what is there is finished, the recording goes on in the next file."""
        logger.info("%s of %s changed its codec to %s", feed.source, feed.identity, frame.codec.label)
        new = self._new_file()
        self._over.append(file)
        zero = self.begun
        assert zero is not None
        self._finishing[file] = asyncio.create_task(file.finish(None, zero), name="finish part")
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
