"""The thread between the event loop and a file: a slow disk never delays the network, and never grows memory for long.

When the disk cannot follow, frames wait up to a bounded number of bytes. Beyond that they are dropped (`FrameQueue`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.outputs.file_writer import FileResult, FileWriter
from pyegress.outputs.frame_queue import MAX_QUEUED, FrameQueue
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.rewrite import Rewrite, rewrite
from pyegress.outputs.written import Written
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame

#: The thread looks at its queue this often instead of being woken for each frame, and puts all that is in it on the
#: disk: what a killed process may lose here, seconds.
WRITE_SECONDS = 0.4
#: More media than this is not one piece of the file, when there is much at once, seconds.
_PIECE_SECONDS = 1.0
#: Bytes by which a file has grown when it is told.
_WORTH_TELLING = 1 << 20
#: Closing may take this long, plus the time that a slow disk needs for the file, seconds and bytes per second.
_CLOSE_SECONDS, _SLOW_DISK = 30.0, 20e6


@dataclass(frozen=True, slots=True)
class Drops:
    """Frames that were not written because the disk was too slow, by stream."""

    frames: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.frames)


class WriterThread:
    """Owns one FileWriter and the one thread that uses it. Methods are for the event loop's thread and never block.

    `on_failed` is called on the loop, once, with the first error: the file could not be created, or the disk refused.
    After that frames are ignored; `aclose` still finishes what was recorded.
    """

    def __init__(
        self,
        path: Path,
        container: Container,
        streams: Sequence[StreamSpec],
        *,
        metadata: Mapping[str, str] | None = None,
        on_failed: Callable[[EgressError], None] | None = None,
        on_written: Callable[[Written], None] | None = None,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        """Start creating the file. Must be called with a running loop; `on_written` is called on it, now and then."""
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._container = container
        self._streams = tuple(streams)
        self._metadata = dict(metadata or {})
        self._on_failed = on_failed
        self._on_written = on_written
        self._rewritten = 0
        self._told = 0
        self._queue: FrameQueue[Rewrite] = FrameQueue([spec.codec.kind for spec in streams], limit=max_queued)
        self._closing: str | None = None
        self._error: EgressError | None = None
        self._bytes_written = 0
        self._duration = 0.0
        self._done: Future[FileResult] = Future()
        self._thread = threading.Thread(target=self._run, name=f"writer {path.name}", daemon=True)
        self._thread.start()

    @property
    def bytes_written(self) -> int:
        """Size of the file, as of the thread's last round."""
        return self._bytes_written

    @property
    def duration(self) -> float:
        """Seconds that the file plays, as of the thread's last round."""
        return self._duration

    @property
    def queued(self) -> int:
        """Bytes that wait for the disk."""
        return self._queue.bytes

    @property
    def dropped(self) -> Drops:
        """What the disk was too slow for."""
        return Drops(tuple(self._queue.dropped))

    @property
    def error(self) -> EgressError | None:
        """The first error, None while all is well."""
        return self._error

    def submit(self, stream: int, frame: EncodedFrame, pts: int) -> bool:
        """Queue a frame for `FileWriter.write`; False if it was dropped. After an error or `aclose`: always False."""
        if self._error is not None or self._closing is not None:
            return False
        return self._queue.put(stream, frame, pts)

    def rewrite(self, path: Path, container: Container, streams: Sequence[StreamSpec], shifts: Sequence[int]) -> None:
        """Go on at `path` with `streams` (those there are, and more), each of the former moved by its shift (ticks).

        What was submitted before is moved, what comes after is not. Until it is done the old file plays.
        """
        added = streams[len(self._streams) :]
        self._streams = tuple(streams)
        self._queue.extend([spec.codec.kind for spec in added])
        self._queue.put_job(Rewrite(path, container, self._streams, tuple(shifts)))

    async def aclose(self, timeout: float | None = None) -> FileResult:
        """Write what waits, finish the file, end the thread. Idempotent; a cancelled call leaves the thread to it.

        Raises OutputFailed if there is no file, or if the disk does not answer within `timeout` seconds (by default as
        long as a slow disk needs for this file); the thread then ends with the process at the latest.
        """
        return await self._end("close", timeout)

    async def abort(self, timeout: float | None = None) -> FileResult:
        """Like `aclose`, without finishing: the file stays as it was recorded."""
        return await self._end("abort", timeout)

    async def _end(self, how: str, timeout: float | None) -> FileResult:
        if self._closing is None:
            self._closing = how
        self._queue.wake()
        if timeout is None:
            timeout = _CLOSE_SECONDS + (self._bytes_written + self._queue.bytes) / _SLOW_DISK
        try:
            result = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._done)), timeout)
        except TimeoutError:
            raise OutputFailed(
                f"Cannot finish {self._path}: the disk did not answer within {timeout:.0f} s",
                remedy="Check the disk; what it has taken so far plays",
                field=str(self._path),
            ) from None
        self._thread.join()
        return result

    def _run(self) -> None:
        try:
            writer = FileWriter(
                self._path, self._container, self._streams, metadata=self._metadata, batch=_PIECE_SECONDS
            )
        except EgressError as error:
            self._fail(error)
            self._done.set_exception(error)
            return
        except BaseException as error:
            self._crash(error)
            return
        try:
            while self._closing is None or (self._queue and self._error is None):
                writer = self._round(writer)
            result = writer.abort() if self._closing == "abort" else writer.close()
            self._bytes_written, self._duration = result.size, result.duration
            self._done.set_result(result)
        except BaseException as error:
            writer.abort()
            self._crash(error)

    def _round(self, writer: FileWriter) -> FileWriter:
        """Put on the disk what waits."""
        self._queue.wait(WRITE_SECONDS)
        try:
            for entry in self._queue:
                if isinstance(entry, Rewrite):
                    writer = rewrite(writer, entry, self._metadata)
                    self._rewritten += 1
                    self._told = 0
                else:
                    writer.write(entry.stream, entry.frame, entry.pts)
            writer.flush()
            self._tell(writer.bytes_written)
        except OutputFailed as error:
            self._queue.clear()
            self._fail(error)
        self._bytes_written, self._duration = writer.bytes_written, writer.duration
        return writer

    def _tell(self, size: int) -> None:
        """Everything is on the disk, up to `size`."""
        if self._on_written is not None and size >= self._told + _WORTH_TELLING:
            self._told = size
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self._on_written, Written(size, self._rewritten))

    def _fail(self, error: EgressError) -> None:
        if self._error is not None:
            return
        self._error = error
        if self._on_failed is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(self._on_failed, error)

    def _crash(self, error: BaseException) -> None:
        failure = OutputFailed(f"Writing {self._path} failed: {error!r}", field=str(self._path), fault=Fault.OURS)
        failure.__cause__ = error
        self._fail(failure)
        self._done.set_exception(failure)
