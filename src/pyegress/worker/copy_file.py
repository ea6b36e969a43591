"""One file that copies at most one audio and one video stream of one publisher, on one clock.

Tracks come when they come, and sender reports some seconds later. The file is written from the first frame on, with
what is known by then; when a stream joins, or when the reports say exactly how sound and picture belong together, what
has been recorded is rewritten once (seconds of media, mostly) and the recording goes on. So there is a file that plays
at any moment, and it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyegress.clock import Monotonic, Wall
from pyegress.codecs import Codec, Kind
from pyegress.errors import EgressError
from pyegress.media.timeline import LONG, MAX_LATE, Origin, Timeline
from pyegress.outputs.file_writer import FileResult
from pyegress.outputs.gap_filler import GapFiller, gap_filler
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.writer_thread import WriterThread
from pyegress.outputs.written import Written
from pyegress.plan.containers import Container
from pyegress.room.events import SenderReportSeen
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.feed import Feed
from pyegress.worker.progress import RecordedFile, RecordedStream

#: Silence is written when a track that is muted or over has sent nothing for this long, seconds ...
SILENCE_AFTER = 1.0
#: ... and one that is neither: a path or a publisher may stall, and then deliver everything at once.
STALLED_AFTER = MAX_LATE


@dataclass(slots=True)
class _Stream:
    """One stream of the file: what it is, and which feeds brought it."""

    index: int
    spec: StreamSpec
    source: str
    #: The feed that is written now; a newer publication of the same kind takes over with its first key frame.
    current: Feed
    filler: GapFiller | None
    #: When the last packet arrived.
    arrival: Monotonic
    track_ids: list[str] = field(default_factory=list)


class CopyFile:
    """Takes the frames of feeds and writes them into one file. All methods on the event loop; none blocks."""

    def __init__(
        self,
        *,
        part: int = 1,
        path_for: Callable[[frozenset[Codec]], Path],
        metadata: Mapping[str, str],
        clip: float | None,
        on_failed: Callable[[EgressError], None],
        on_grown: Callable[[Path, Written], None] = lambda path, written: None,
    ) -> None:
        """`path_for` names the file for its codecs or raises EgressError; `clip` ends it after so many seconds.
        `on_grown` is told how far the file is, from when on it is not likely to be written anew.

        `part` is its number among the files of a recording.
        """
        self.part = part
        self._path_for = path_for
        self._metadata = metadata
        self._clip = clip
        self._on_failed = on_failed
        self._on_grown = on_grown
        self._timeline = Timeline()
        self._streams: dict[Kind, _Stream] = {}
        #: Whose media stream the timeline of a kind is about.
        self._lines: dict[Kind, Feed] = {}
        self._thread: WriterThread | None = None
        self._refused: set[Feed] = set()
        self.path: Path | None = None
        #: When the first frame arrived.
        self.begun: Monotonic | None = None
        self.identity = ""
        self.name = ""
        #: Once the file is finished.
        self.result: FileResult | None = None

    @property
    def origin(self) -> Origin | None:
        """Second 0 of a file of one stream on the sender's clock, once sender reports tell."""
        return self._timeline.origin

    @property
    def last(self) -> float:
        """Seconds of the file where the newest frame begins."""
        streams = ((kind, stream.spec.codec.clock_rate) for kind, stream in self._streams.items())
        return max((self._timeline.stream(kind).last / rate for kind, rate in streams), default=0.0)

    @property
    def bytes_written(self) -> int:
        return self._thread.bytes_written if self._thread is not None else 0

    @property
    def codecs(self) -> Mapping[Kind, Codec]:
        """What the file holds so far."""
        return {kind: stream.spec.codec for kind, stream in self._streams.items()}

    def elapsed(self, now: Monotonic) -> float:
        """Seconds since the first frame arrived."""
        return 0.0 if self.begun is None else max(0.0, now - self.begun)

    def takes_over(self, feed: Feed) -> bool:
        """Whether the feed may bring the stream of its kind: a newer publication does, any other once it has ended."""
        stream = self._streams.get(feed.kind)
        return stream is None or stream.current is feed or stream.current.ended or feed.rank > stream.current.rank

    def begin_stream(self, feed: Feed, codec: Codec) -> None:
        """A media stream of the feed begins: its timestamps have nothing to do with former ones."""
        stream = self._streams.get(feed.kind)
        if stream is None or stream.current is feed:
            self._begin_line(feed, codec)

    def report(self, feed: Feed, report: SenderReportSeen) -> None:
        """A sender report of the feed's stream."""
        if self._lines.get(feed.kind) is not feed:
            return
        self._timeline.report(feed.kind, report.sender_time, report.timestamp)
        self._align(final=False)

    def frame(self, feed: Feed, frame: EncodedFrame) -> None:
        """The next frame of a feed."""
        if feed in self._refused:
            return
        stream = self._streams.get(feed.kind)
        if stream is None:
            stream = self._open(feed, frame)
            if stream is None:
                return
        elif stream.current is not feed:
            if not frame.keyframe or not self.takes_over(feed):
                return
            self._begin_line(feed, frame.codec)
            stream.current = feed
            stream.track_ids.append(feed.track_id)
        stream.arrival = frame.arrival
        at = self._timeline.place(feed.kind, frame.timestamp, frame.arrival)
        if self._clip is not None and at >= self._clip * frame.codec.clock_rate:
            return
        if stream.filler is None:
            self._submit(stream, frame, at)
        else:
            for piece, place in stream.filler.packet(frame, at):
                self._submit(stream, piece, place)

    def end_stream(self, feed: Feed) -> None:
        """The feed brings nothing more."""
        self._refused.discard(feed)

    def tick(self, now: Monotonic) -> None:
        """Let silence grow while an audio stream sends nothing, as long as anything may still come."""
        if all(stream.current.ended for stream in self._streams.values()):
            return
        for stream in self._streams.values():
            resting = stream.current.is_muted or stream.current.ended
            patience = SILENCE_AFTER if resting else STALLED_AFTER
            if stream.filler is not None and now - stream.arrival > patience:
                self._fill(stream, now - patience)

    async def finish(self, end: Monotonic | None) -> None:
        """Finish the file, if there is one: silence up to `end` (None: it ends with its last frame); sets `result`.

        Raises EgressError if the file could not be made.
        """
        if self._thread is None:
            return
        self._align(final=True)
        if end is not None:
            for stream in self._streams.values():
                if stream.filler is not None:
                    self._fill(stream, end)
        self.result = await self._thread.aclose()

    def _align(self, *, final: bool) -> None:
        """Move what is recorded to where the sender reports say, as soon as they do."""
        shifts = self._timeline.corrections(final=final)
        if shifts is not None and any(shifts.values()):
            self._rewrite(
                {kind: round(shifts[kind] * stream.spec.codec.clock_rate) for kind, stream in self._streams.items()}
            )

    def _fill(self, stream: _Stream, until: float) -> None:
        """Silence up to the monotonic time `until`, counted from the last packet: clocks may run at other speeds."""
        assert stream.filler is not None
        rate = stream.spec.codec.clock_rate
        line = self._timeline.stream(stream.spec.codec.kind)
        ticks = line.last + round((until - stream.arrival) * rate)
        if self._clip is not None:
            ticks = min(ticks, round(self._clip * rate))
        for piece, place in stream.filler.fill_until(ticks):
            self._submit(stream, piece, place)

    def _submit(self, stream: _Stream, frame: EncodedFrame, at: int) -> None:
        assert self._thread is not None
        self._thread.submit(stream.index, frame, at)

    def _written(self, written: Written) -> None:
        """What may yet be rewritten is not told: it would be uploaded in vain."""
        if self.path is not None and self._thread is not None and (self._timeline.exact or self.last > LONG):
            self._on_grown(self.path, written)

    def _begin_line(self, feed: Feed, codec: Codec) -> None:
        self._lines[feed.kind] = feed
        self._timeline.begin_stream(feed.kind, codec)

    def _open(self, feed: Feed, frame: EncodedFrame) -> _Stream | None:
        """The first frame of a kind: begin the file with it, or add it to the file. Pictures begin with a key frame."""
        if not frame.keyframe:
            return None
        if self._lines.get(feed.kind) is not feed:
            self._begin_line(feed, frame.codec)
        spec = StreamSpec(codec=frame.codec, size=frame.size, first=frame, title=feed.source)
        codecs = frozenset({frame.codec, *(stream.spec.codec for stream in self._streams.values())})
        try:
            path = self._path_for(codecs)
        except EgressError as error:
            self._refused.add(feed)
            self._on_failed(error)
            return None
        if self.begun is None:
            self.begun = frame.arrival
            self.identity, self.name = feed.identity, feed.name
        filler = gap_filler(frame.codec) if feed.kind is Kind.AUDIO else None
        stream = _Stream(len(self._streams), spec, feed.source, feed, filler, frame.arrival, [feed.track_id])
        self._streams[feed.kind] = stream
        path = path.absolute()
        container = Container.from_path(str(path))
        assert container is not None
        if self._thread is None:
            self._thread = WriterThread(
                path,
                container,
                [spec],
                metadata=self._metadata,
                on_failed=self._on_failed,
                on_written=self._written,
            )
        else:
            self._rewrite({}, path)
        self.path = path
        return stream

    def _rewrite(self, shifts: Mapping[Kind, int], path: Path | None = None) -> None:
        """Rewrite what is there: with all streams of now, each moved by its shift (ticks)."""
        assert self._thread is not None
        ordered = sorted(self._streams.values(), key=lambda stream: stream.index)
        moves = [shifts.get(stream.spec.codec.kind, 0) for stream in ordered]
        for stream, move in zip(ordered, moves, strict=True):
            if stream.filler is not None and move:
                stream.filler.shift(move)
        path = path or self.path
        assert path is not None
        container = Container.from_path(str(path))
        assert container is not None
        self._thread.rewrite(path, container, [stream.spec for stream in ordered], moves)

    def describe(self, start: float, started_at: Wall) -> RecordedFile:
        """The finished file; its second 0 is `start` on the recording's one clock, and `started_at` in UTC."""
        result = self.result
        assert result is not None
        ordered = sorted(self._streams.values(), key=lambda stream: stream.index)
        warnings = [result.warning] if result.warning else []
        if self._thread is not None and (dropped := self._thread.dropped.total):
            warnings.append(f"The disk was too slow: {dropped} frames were not written")
        return RecordedFile(
            path=result.path,
            size=result.size,
            duration=result.duration,
            streams=tuple(
                RecordedStream(
                    kind=stream.spec.codec.kind.value,
                    codec=stream.spec.codec.label,
                    frames=written.frames,
                    size=written.size,
                    track_ids=tuple(stream.track_ids),
                    source=stream.source,
                )
                for stream, written in zip(ordered, result.streams, strict=True)
            ),
            identity=self.identity,
            name=self.name,
            started_at=started_at,
            start=start,
            end=start + result.duration,
            warnings=tuple(warnings),
        )
