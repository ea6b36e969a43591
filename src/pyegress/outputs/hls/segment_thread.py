"""The thread of one HLS output: cuts and muxes frames into segment files, and writes playlists.

It tells of what is on the disk, on the event loop and in order; what is named in playlists is decided there.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pyegress.clock import wall
from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.outputs.disk import GrowingFile, disk_failure, temporary_beside
from pyegress.outputs.frame_queue import FrameQueue, Queued
from pyegress.outputs.hls.playlist import Part
from pyegress.outputs.hls.segment_muxer import SegmentMuxer, before_start, segment_muxer, segment_streams
from pyegress.outputs.hls.segmenter import Piece, Segmenter
from pyegress.outputs.muxer import Sample, StreamSpec
from pyegress.plan.recording_plan import SegmentFormat
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.frame import EncodedFrame

#: What a killed process may lose of a segment, seconds.
PIECE_SECONDS = 0.5
#: How often the thread looks at its queue; with parts, that is a part of their delay.
_POLL_SECONDS, _POLL_PARTS = 0.2, 0.03
#: A disk that does not answer for so long is given up, seconds.
DISK_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment on the disk: seconds of the output, bytes. `parts` are those on the disk, when they were asked for."""

    path: Path
    start: float
    duration: float
    size: int
    discontinuity: bool
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What is written: `duration` of segments, `part` of parts (0 without any), in seconds."""

    format: SegmentFormat
    duration: float
    part: float
    #: The initialization segment, None where segments need none.
    header: Path | None
    #: The file of a segment by its number and its first second of the output. Called by the thread.
    path_for: Callable[[int, float], Path]


@dataclass(frozen=True, slots=True)
class SegmentEvents:
    """What is called on the event loop: a file is begun, complete, has a part more; nothing more is written."""

    on_header: Callable[[Path], None]
    on_begun: Callable[[Path], None]
    on_segment: Callable[[SegmentFile], None]
    on_part: Callable[[SegmentFile], None]
    on_failed: Callable[[EgressError], None]


@dataclass(frozen=True, slots=True)
class _Write:
    """Files to replace as a whole, one after the other."""

    files: tuple[tuple[Path, bytes], ...]
    done: Future[None]


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
        self._queue: FrameQueue[_Write | _Finish | _End] = FrameQueue(
            [spec.codec.kind for spec in streams], together=True
        )
        self._error: EgressError | None = None
        self._finished: Future[None] | None = None
        self._writer: _SegmentWriter | None = None
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
            self._writer = _SegmentWriter(self._plan, self._streams, self._events, self._call)
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


class _SegmentWriter:
    """The segments' files."""

    def __init__(
        self,
        plan: SegmentPlan,
        streams: Sequence[StreamSpec],
        events: SegmentEvents,
        call: Callable[[Callable[..., None], object], None],
    ) -> None:
        self._plan = plan
        self._streams = streams
        self._events = events
        self._call = call
        self._segmenter = Segmenter(streams, duration=plan.duration, piece=plan.part or PIECE_SECONDS)
        self._muxer: SegmentMuxer = segment_muxer(plan.format, streams, wall())
        self._numbers = 0
        self._closed_bytes = 0
        self._file: GrowingFile | None = None
        self._open: SegmentFile | None = None
        if plan.header is not None:
            file = GrowingFile(plan.header)
            file.append(self._muxer.header)
            file.close()
            call(events.on_header, plan.header)

    @property
    def bytes_written(self) -> int:
        return self._closed_bytes + (self._file.size if self._file is not None else 0)

    def frame(self, entry: Queued) -> None:
        frame, spec = entry.frame, self._streams[entry.stream]
        if before_start(frame.codec, entry.pts, frame.duration):
            return
        sample = Sample(entry.pts + spec.priming, frame.duration, frame.payload, frame.keyframe)
        for piece in self._segmenter.push(entry.stream, sample, discontinuity=entry.resumed):
            self._write(piece)

    def finish(self) -> None:
        for piece in self._segmenter.finish():
            self._write(piece)
        self.give_up()

    def give_up(self) -> None:
        """Close the open segment with what is on the disk of it."""
        if self._file is None or self._open is None:
            return
        file, self._file = self._file, None
        self._closed_bytes += file.size
        file.close()
        if self._open.duration:
            self._call(self._events.on_segment, self._open)
        else:
            file.path.unlink(missing_ok=True)

    def _write(self, piece: Piece) -> None:
        if piece.begins:
            path = self._plan.path_for(self._numbers, piece.start)
            self._file = GrowingFile(path)
            self._numbers += 1
            self._call(self._events.on_begun, path)
            self._open = SegmentFile(path, piece.start, 0.0, 0, piece.discontinuity)
        assert self._file is not None
        assert self._open is not None
        data = self._muxer.piece(piece.batch)
        at = self._file.append((self._muxer.begin_segment() if piece.begins else b"") + data)
        size = self._file.size
        parts = self._open.parts
        if self._plan.part:
            parts += (Part(piece.end - piece.start, at, size - at, piece.independent),)
        duration = piece.end - self._open.start
        self._open = replace(self._open, duration=duration, size=size, parts=parts)
        if piece.ends:
            self.give_up()
        elif self._plan.part:
            self._call(self._events.on_part, self._open)


def _replace(files: Sequence[tuple[Path, bytes]], done: Future[None]) -> None:
    """A reader sees the old file or the new one, a killed process leaves one of them."""
    path = files[0][0]
    try:
        for path, data in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = temporary_beside(path)
            beside.write_bytes(data)
            os.replace(beside, path)
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
