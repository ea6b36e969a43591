"""The thread of one HLS output: cuts and muxes frames into segment files, and writes playlists.

It tells of what is on the disk, on the event loop and in order; what is named in playlists is decided there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.outputs.disk import disk_failure, replacing
from pyegress.outputs.frame_queue import FrameQueue, Queued
from pyegress.outputs.hls.segment_muxer import segment_streams
from pyegress.outputs.hls.segment_writer import SegmentEvents, SegmentPlan, SegmentWriter
from pyegress.outputs.muxer import StreamSpec
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.frame import EncodedFrame

#: How often the thread looks at its queue; with parts, that is a part of their delay.
_POLL_SECONDS, _POLL_PARTS = 0.2, 0.03
#: A disk that does not answer for so long is given up, seconds.
DISK_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class _Write:
    """Files to replace as a whole, one after the other."""

    files: tuple[tuple[Path, bytes], ...]
    done: Future[None]


@dataclass(frozen=True, slots=True)
class _Extend:
    """A further stream begins."""

    spec: StreamSpec


@dataclass(frozen=True, slots=True)
class _Finish:
    """The media is over."""

    done: Future[None]


@dataclass(frozen=True, slots=True)
class _End:
    """Nothing is wanted any more."""


class SegmentThread:
    """`submit` from any one thread for each stream, the rest from the event loop. An error ends segments for good,
    but playlists are written on.
    """

    def __init__(self, plan: SegmentPlan, streams: Sequence[StreamSpec], events: SegmentEvents) -> None:
        """Must be called with a running loop."""
        self._loop = asyncio.get_running_loop()
        self._plan = plan
        self._streams = segment_streams(streams)
        self._events = events
        self._queue: FrameQueue[_Write | _Extend | _Finish | _End] = FrameQueue(
            [spec.codec.kind for spec in streams], together=True
        )
        self._error: EgressError | None = None
        self._finished: Future[None] | None = None
        self._writer: SegmentWriter | None = None
        self._thread = threading.Thread(target=self._run, name="segments", daemon=True)
        self._thread.start()

    @property
    def bytes_written(self) -> int:
        """Bytes of all segments."""
        return self._writer.bytes_written if self._writer is not None else 0

    @property
    def dropped(self) -> int:
        """Frames that the disk was too slow for."""
        return sum(self._queue.dropped)

    def submit(self, stream: int, frame: EncodedFrame) -> None:
        """The next frame of a stream. Never blocks."""
        if self._error is None and self._finished is None:
            self._queue.put(stream, frame, frame.timestamp)

    def extend(self, spec: StreamSpec) -> None:
        """A further stream, of copies. From the thread that submits it, before its first frame."""
        self._queue.extend([spec.codec.kind])
        self._queue.put_job(_Extend(segment_streams([spec])[0]))

    async def finish(self) -> None:
        """Write what waits and close the last segment. Idempotent. Raises OutputFailed if the disk does not answer."""
        if self._finished is None:
            self._finished = Future()
            self._queue.put_job(_Finish(self._finished))
        await self._answer(self._finished, "segments")

    async def write(self, files: Sequence[tuple[Path, bytes]]) -> None:
        """Replace files, each as a whole. Raises OutputFailed."""
        done: Future[None] = Future()
        self._queue.put_job(_Write(tuple(files), done))
        await self._answer(done, str(files[0][0]))

    async def aclose(self) -> None:
        """End the thread. Idempotent."""
        try:
            await self.finish()
        finally:
            self._queue.put_job(_End())
        # It has nothing more to write.
        self._thread.join()

    async def _answer(self, done: Future[None], what: str) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), DISK_TIMEOUT)
        except TimeoutError:
            raise OutputFailed(
                f"Cannot write {what}: the disk did not answer within {DISK_TIMEOUT:.0f} s", remedy="Check the disk"
            ) from None

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._writer = SegmentWriter(self._plan, self._streams, self._events, self._call)
        except Exception as error:
            self._fail(error)
        while True:
            self._queue.wait(_POLL_PARTS if self._plan.part else _POLL_SECONDS)
            for entry in self._queue:
                match entry:
                    case Queued() as queued:
                        self._attempt(queued)
                    case _Write(files=files, done=done):
                        _replace(files, done)
                    case _Extend(spec=spec):
                        if self._writer is not None:
                            self._writer.extend(spec)
                    case _Finish(done=done):
                        self._attempt(None)
                        done.set_result(None)
                    case _End():
                        return

    def _attempt(self, entry: Queued | None) -> None:
        """Write a frame; None: the media is over."""
        if self._error is not None or self._writer is None:
            return
        try:
            self._writer.finish() if entry is None else self._writer.frame(entry)
        except Exception as error:
            self._fail(error)
            with suppress(OSError):
                self._writer.give_up()

    def _fail(self, error: Exception) -> None:
        self._error = _translated(error, self._plan)
        self._call(self._events.on_failed, self._error)

    def _call(self, function: Callable[..., None], argument: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(function, argument)


def _replace(files: Sequence[tuple[Path, bytes]], done: Future[None]) -> None:
    """Write each in its turn."""
    path = files[0][0]
    try:
        for path, data in files:
            with replacing(path) as file:
                file.write(data)
    except OSError as error:
        done.set_exception(disk_failure(error, path, "write"))
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(None)


def _translated(error: Exception, plan: SegmentPlan) -> EgressError:
    if isinstance(error, EgressError):
        return error
    if isinstance(error, OSError):
        path = Path(error.filename) if error.filename else plan.path_for(0, 0.0).parent
        return disk_failure(error, path, "write segments into")
    reason = str(error) if isinstance(error, ProtocolError) else repr(error)
    failure = OutputFailed(f"Writing segments failed: {reason}", fault=Fault.OURS)
    failure.__cause__ = error
    return failure
