"""The files of one HLS output: cuts and muxes frames into segments, and announces streams. Used by one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyegress.clock import wall
from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.outputs.disk import GrowingFile
from pyegress.outputs.frame_queue import Queued
from pyegress.outputs.hls.playlist import Part
from pyegress.outputs.hls.segment_muxer import SegmentMuxer, before_start, continues, segment_muxer
from pyegress.outputs.hls.segmenter import Piece, Segmenter
from pyegress.outputs.muxer import Sample, StreamSpec
from pyegress.plan.recording_plan import SegmentFormat
from pyegress.rtp.frame import EncodedFrame

#: What a killed process may lose of a segment, seconds.
PIECE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment on the disk: seconds of the output, bytes. `parts` are those on the disk, when they were asked for."""

    path: Path
    start: float
    duration: float
    size: int
    discontinuity: bool
    parts: tuple[Part, ...] = ()
    #: The initialization segment that begins with it, if another one does.
    header: Path | None = None


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What is written: `duration` of segments, `part` of parts (0 without any), in seconds.

    With `copies` key frames come when they come, and streams may change.
    """

    format: SegmentFormat
    duration: float
    part: float
    copies: bool
    #: The file of an initialization segment by its number, None where segments need none. Called by the thread.
    header_for: Callable[[int], Path | None]
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


class SegmentWriter:
    """Raises OSError, and ProtocolError for streams that cannot be announced. `call` does something on the loop."""

    def __init__(
        self,
        plan: SegmentPlan,
        streams: Sequence[StreamSpec],
        events: SegmentEvents,
        call: Callable[[Callable[..., None], object], None],
    ) -> None:
        self._plan = plan
        self._events = events
        self._call = call
        piece = plan.part or PIECE_SECONDS
        self._segmenter = Segmenter(streams, duration=plan.duration, piece=piece, copies=plan.copies)
        self._numbers = self._headers = 0
        self._closed_bytes = 0
        self._file: GrowingFile | None = None
        self._open: SegmentFile | None = None
        #: The streams as they are by now, and as further segments announce them that not all streams have reached.
        self._streams = list(streams)
        self._renewals: deque[tuple[StreamSpec, ...]] = deque()
        #: Further streams before their first frame.
        self._coming: set[int] = set()
        self._announced = 0
        self._muxer: SegmentMuxer
        self._announce(tuple(streams))

    @property
    def bytes_written(self) -> int:
        return self._closed_bytes + (self._file.size if self._file is not None else 0)

    def extend(self, spec: StreamSpec) -> None:
        """A further stream, which begins with its next frame."""
        self._segmenter.add(spec)
        self._coming.add(len(self._streams))
        self._streams.append(spec)

    def frame(self, entry: Queued) -> None:
        frame, spec = entry.frame, self._streams[entry.stream]
        if before_start(frame.codec, entry.pts, frame.duration):
            return
        sample = Sample(entry.pts + spec.priming, frame.duration, frame.payload, frame.keyframe)
        renewed = self._renews(entry.stream, frame)
        for piece in self._segmenter.push(entry.stream, sample, discontinuity=entry.resumed, renewed=renewed):
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

    def _renews(self, stream: int, frame: EncodedFrame) -> bool:
        """Whether streams are announced anew from a frame on."""
        if not self._plan.copies or frame.codec.kind is not Kind.VIDEO or not frame.keyframe:
            return False
        spec = self._streams[stream]
        if stream not in self._coming and continues(spec, frame):
            return False
        self._coming.discard(stream)
        self._streams[stream] = replace(spec, codec=frame.codec, size=frame.size or spec.size, first=frame)
        self._renewals.append(tuple(self._streams))
        return True

    def _announce(self, streams: Sequence[StreamSpec]) -> Path | None:
        """Announce the streams as the next segment has them; the initialization segment, if there is one."""
        self._muxer = segment_muxer(self._plan.format, streams, wall())
        self._announced = len(streams)
        path = self._plan.header_for(self._headers)
        if path is not None:
            self._headers += 1
            file = GrowingFile(path)
            file.append(self._muxer.header)
            file.close()
            self._call(self._events.on_header, path)
        return path

    def _write(self, piece: Piece) -> None:
        if piece.begins:
            header = self._announce(self._renewals.popleft()) if piece.renewed else None
            path = self._plan.path_for(self._numbers, piece.start)
            self._file = GrowingFile(path)
            self._numbers += 1
            self._call(self._events.on_begun, path)
            self._open = SegmentFile(path, piece.start, 0.0, 0, piece.discontinuity, header=header)
        assert self._file is not None
        assert self._open is not None
        data = self._muxer.piece(piece.batch[: self._announced])
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
