"""HLS with what encoders make: segments to their storage, and playlists that name only what is there."""

from __future__ import annotations

import asyncio
import logging
import posixpath
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.clock import Wall
from pyegress.codecs import Kind
from pyegress.errors import EgressError, Fault, OutputFailed
from pyegress.lifecycle.outcome import SegmentsOutcome, StreamOutcome
from pyegress.outputs.hls.playlist import EventPlaylist, LivePlaylist, PlaylistSettings, Segment, relative_uri
from pyegress.outputs.hls.segment_thread import SegmentThread
from pyegress.outputs.hls.segment_writer import SegmentEvents, SegmentFile, SegmentPlan
from pyegress.outputs.muxer import StreamSpec
from pyegress.plan.recording_plan import SegmentOutput
from pyegress.plan.segment_names import header_name, segment_name
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivered, Delivery, ObjectKind
from pyegress.worker.first_packets import FirstPackets, Submit
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import Recorded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture

logger = logging.getLogger(__name__)

#: A delivery that is waited for, and the segment that it brings, None for the initialization segment.
_Pending = tuple[SegmentFile | None, "asyncio.Future[Delivered]"]


class SegmentSink:
    """An `OutputSink`. Segments are delivered side by side; playlists name them in order, once they are there."""

    def __init__(
        self,
        output: SegmentOutput,
        source: Source,
        delivery: Delivery,
        *,
        on_failed: Callable[[EgressError], None],
    ) -> None:
        """Must be called with a running loop."""
        names = output.names
        self._output = output
        self._source = source
        self._delivery = delivery
        self._on_failed = on_failed
        # Key frames of copies come some time after a segment should end, which nobody may learn in mid-play.
        header = header_name(names.prefix, output.format)
        settings = PlaylistSettings(
            duration=output.duration + bool(source.copied),
            map_uri=relative_uri(header, names.playlist) if header else "",
            part=output.part,
        )
        self._playlists: list[tuple[str, EventPlaylist | LivePlaylist]] = [(names.playlist, EventPlaylist(settings))]
        if names.live_playlist:
            self._playlists.append((names.live_playlist, LivePlaylist(settings)))
        self._paths = [delivery.place(name, output.storage) for name, _ in self._playlists]
        # Segments are named when they begin, by a thread that does not ask the delivery.
        beside = posixpath.relpath(posixpath.dirname(names.prefix) or ".", posixpath.dirname(names.playlist) or ".")
        self._folder = Path(posixpath.normpath(self._paths[0].parent / beside))
        self._first = FirstPackets(source, self._begin, extend=self._extend if source.copied else None)
        self._thread: SegmentThread | None = None
        self._pending: deque[_Pending] = deque()
        #: The segment that is being written, as far as parts of it are there.
        self._growing: SegmentFile | None = None
        #: What the playlists name.
        self._count = self._size = 0
        self._start = self._end = 0.0
        self._errors: list[EgressError] = []
        #: A segment was not delivered: those behind it are not named, a player would run into the hole.
        self._hole = False
        self._publishing: asyncio.Task[None] | None = None
        self._changed = False
        self._locations: dict[str, str] = {}

    @property
    def bytes_written(self) -> int:
        return self._thread.bytes_written if self._thread is not None else 0

    @property
    def paths(self) -> list[Path]:
        return self._paths if self._count else []

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return ()

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        if not self._errors:
            self._first.packet(kind, packet)

    def picture(self, picture: Picture, at: float) -> None:
        """Segments take packets."""

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """Segments take packets."""

    async def finish(self) -> Recorded:
        """Close and deliver the last segment, and end the playlists, also after an error."""
        self._first.open()
        thread = self._thread
        if thread is None:
            return Recorded()
        try:
            await thread.finish()
            await self._delivered()
            if self._count:
                await self._end_playlists(thread)
            await thread.aclose()
        except EgressError as error:
            self._fail(error)
        return Recorded(segments=(self._outcome(),) if self._count else (), errors=tuple(self._errors))

    # -- segments ---------------------------------------------------------------------------------------------------

    def _begin(self, streams: Sequence[StreamSpec]) -> Submit:
        output = self._output
        plan = SegmentPlan(
            format=output.format,
            duration=output.duration,
            part=output.part,
            copies=bool(self._source.copied),
            header_for=self._header_for,
            path_for=self._path_for,
        )
        events = SegmentEvents(
            on_header=self._on_header,
            on_begun=self._on_begun,
            on_segment=self._on_segment,
            on_part=self._on_part,
            on_failed=self._fail,
        )
        self._thread = SegmentThread(plan, streams, events)
        return self._thread.submit

    def _extend(self, spec: StreamSpec) -> None:
        if self._thread is not None:
            self._thread.extend(spec)

    def _at(self, start: float) -> Wall:
        """When what is at `start` seconds of the output was taken."""
        return Wall((self._source.started_at() or Wall(0.0)) + start)

    def _path_for(self, number: int, start: float) -> Path:
        name = segment_name(
            self._output.names.prefix, self._output.format, self._output.suffix, number, self._at(start)
        )
        return self._folder / posixpath.basename(name)

    def _header_for(self, number: int) -> Path | None:
        name = header_name(self._output.names.prefix, self._output.format, number)
        return self._folder / posixpath.basename(name) if name else None

    def _name(self, path: Path) -> str:
        return posixpath.join(posixpath.dirname(self._output.names.prefix), path.name)

    def _place(self, name: str) -> Path:
        return self._delivery.place(name, self._output.storage)

    def _on_header(self, path: Path) -> None:
        self._deliver(None, self._place(self._name(path)))

    def _on_begun(self, path: Path) -> None:
        self._place(self._name(path))

    def _on_segment(self, file: SegmentFile) -> None:
        self._growing = None
        self._deliver(file, file.path)

    def _on_part(self, file: SegmentFile) -> None:
        self._growing = file
        self._name_parts()

    def _name_parts(self) -> None:
        """Name the parts of the segment that is being written, once all that comes before them is named."""
        # Players take a playlist without a segment for an error.
        if self._growing is None or self._pending or self._errors or not self._count:
            return
        for _, playlist in self._playlists:
            playlist.grow(self._segment(self._growing))
        self._publish()

    def _deliver(self, file: SegmentFile | None, path: Path) -> None:
        future = self._delivery.deliver(path, ObjectKind.SEGMENT)
        self._pending.append((file, future))
        future.add_done_callback(lambda _: self._confirm())

    def _confirm(self) -> None:
        """Name what has been delivered without a hole before it."""
        named = False
        while self._pending and self._pending[0][1].done():
            file, future = self._pending.popleft()
            if (error := _error_of(future)) is not None:
                self._hole = True
                self._fail(error)
            elif file is not None and not self._hole:
                self._add(file)
                named = True
        if named:
            self._publish()
            self._name_parts()

    def _add(self, file: SegmentFile) -> None:
        segment = self._segment(file)
        if not self._count:
            self._start = file.start
        self._count += 1
        self._size += file.size
        self._end = file.start + file.duration
        for _, playlist in self._playlists:
            playlist.add(segment)

    def _segment(self, file: SegmentFile) -> Segment:
        uri = relative_uri(self._name(file.path), self._output.names.playlist)
        header = relative_uri(self._name(file.header), self._output.names.playlist) if file.header is not None else ""
        return Segment(uri, file.duration, self._at(file.start), file.discontinuity, file.parts, header)

    def _fail(self, error: EgressError) -> None:
        self._errors.append(error)
        self._on_failed(error)

    async def _delivered(self) -> None:
        """Until nothing is under way."""
        while self._pending:
            await asyncio.wait({future for _, future in self._pending})
            self._confirm()

    # -- playlists --------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Write and deliver the playlists as they are, soon: changes meanwhile are one change."""
        self._changed = True
        if self._publishing is None and self._thread is not None:
            self._publishing = asyncio.create_task(self._publish_changes(self._thread), name="publish playlists")

    async def _publish_changes(self, thread: SegmentThread) -> None:
        try:
            while self._changed:
                self._changed = False
                await self._write(thread, ended=False)
                for path in self._paths:
                    # The last one of all is waited for at the end.
                    self._delivery.deliver(path, ObjectKind.PLAYLIST).add_done_callback(_seen)
        except EgressError as error:
            self._fail(error)
        finally:
            self._publishing = None

    async def _write(self, thread: SegmentThread, *, ended: bool) -> None:
        texts = [playlist.render(ended=ended) for _, playlist in self._playlists]
        await thread.write(list(zip(self._paths, texts, strict=True)))

    async def _end_playlists(self, thread: SegmentThread) -> None:
        if self._publishing is not None:
            await self._publishing
        if part := self._output.part:
            # A player that has a part of the last segment looks for the next part, and not for the whole segment. They
            # ask once in a target duration.
            await asyncio.sleep(self._output.duration + bool(self._source.copied) + part)
        await self._write(thread, ended=True)
        futures = [self._delivery.deliver(path, ObjectKind.PLAYLIST) for path in self._paths]
        for (name, _), future in zip(self._playlists, futures, strict=True):
            try:
                self._locations[name] = (await future).location
            except EgressError as error:
                self._fail(error)

    def _outcome(self) -> SegmentsOutcome:
        names = self._output.names
        return SegmentsOutcome(
            playlist_name=names.playlist,
            live_playlist_name=names.live_playlist,
            playlist_location=self._locations.get(names.playlist, ""),
            live_playlist_location=self._locations.get(names.live_playlist, ""),
            segment_count=self._count,
            size=self._size,
            started_at=self._at(self._start),
            duration=self._end - self._start,
        )


def _error_of(future: asyncio.Future[Delivered]) -> EgressError | None:
    """Why an object was not delivered."""
    if future.cancelled():
        return OutputFailed("A segment was not delivered", fault=Fault.OURS)
    error = future.exception()
    if error is None or isinstance(error, EgressError):
        return error
    return OutputFailed(f"A segment was not delivered: {error!r}", fault=Fault.OURS)


def _seen(future: asyncio.Future[Delivered]) -> None:
    """A playlist that could not be delivered now is delivered with the next change, or its error met at the end."""
    if (error := _error_of(future)) is not None:
        logger.warning("a playlist was not delivered: %s", error)
