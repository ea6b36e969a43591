"""Pictures of the output as image files, one every so many seconds."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.clock import Wall
from pyegress.codecs import Kind
from pyegress.errors import Code, EgressError, Fault, OutputFailed
from pyegress.lifecycle.outcome import ImagesOutcome, StreamOutcome
from pyegress.outputs.images import ImageWriter
from pyegress.plan.recording_plan import ImageOutput
from pyegress.plan.segment_names import image_name
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivered, Delivery, ObjectKind
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import Recorded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture

logger = logging.getLogger(__name__)

#: Pictures that may wait for the disk. They are the encoder's too, and large.
_WAITING = 3
#: Images that may wait for their storage: an hour of them, and some.
_PENDING_SECONDS, _PENDING_LEAST = 3600, 4
#: Pictures come at multiples of the interval; one that is off by less than this share of a tick is on time.
_ROUNDING = 0.002
#: How long the last image may take, seconds.
_CLOSE_SECONDS = 30.0


class ImageSink:
    """An `OutputSink` that takes pictures. It counts what was written and delivered."""

    def __init__(
        self, output: ImageOutput, source: Source, delivery: Delivery, *, on_failed: Callable[[EgressError], None]
    ) -> None:
        """Must be called with a running loop."""
        self._output = output
        self._source = source
        self._delivery = delivery
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._most_pending = max(_PENDING_LEAST, _PENDING_SECONDS // output.interval)
        self._queue: queue.Queue[tuple[Picture, float] | None] = queue.Queue()
        self._next = 0.0
        self._number = 0
        self._pending: set[asyncio.Future[Delivered]] = set()
        self._path: Path | None = None
        self._count = self._bytes = 0
        self._times: tuple[Wall, Wall] | None = None
        self._errors: list[EgressError] = []
        self._done: Future[None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def bytes_written(self) -> int:
        return self._bytes

    @property
    def paths(self) -> list[Path]:
        """The newest one: there may be any number of them."""
        return [self._path] if self._path is not None else []

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return ()

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """Images are made of pictures."""

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """Images are made of pictures."""

    def picture(self, picture: Picture, at: float) -> None:
        """A picture at a multiple of the interval, or later than that where none could be drawn at that moment."""
        if at < self._next - _ROUNDING or self._errors or self._done is not None:
            return
        self._next = (int((at + _ROUNDING) / self._output.interval) + 1) * self._output.interval
        if self._queue.qsize() >= _WAITING:
            logger.warning("the disk is too slow for an image every %d s: one was left out", self._output.interval)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="images", daemon=True)
            self._thread.start()
        self._queue.put((picture, at))

    async def finish(self) -> Recorded:
        """Write and deliver what waits."""
        if self._thread is not None and self._done is None:
            self._done = Future()
            self._queue.put(None)
            try:
                await asyncio.wait_for(asyncio.wrap_future(self._done), _CLOSE_SECONDS)
                self._thread.join()
            except TimeoutError:
                self._fail(
                    OutputFailed(
                        f"Cannot write {self._path or self._output.prefix}: the disk did not answer",
                        remedy="Check the disk",
                    )
                )
        while self._pending:
            await asyncio.wait(set(self._pending))
        if self._times is None:
            return Recorded(errors=tuple(self._errors))
        first, last = self._times
        made = ImagesOutcome(self._output.prefix, self._count, first, last)
        return Recorded(images=(made,), errors=tuple(self._errors))

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        output = self._output
        writer = ImageWriter(output.format, output.width, output.height)
        while (entry := self._queue.get()) is not None:
            picture, at = entry
            taken = Wall((self._source.started_at() or Wall(0.0)) + at)
            name = image_name(output.prefix, output.format, output.suffix, self._number, taken)
            self._number += 1
            self._write(writer, picture, name, taken)
        assert self._done is not None
        self._done.set_result(None)

    def _write(self, writer: ImageWriter, picture: Picture, name: str, taken: Wall) -> None:
        path = Future[Path]()
        self._loop.call_soon_threadsafe(self._place, name, path)
        try:
            where = path.result(_CLOSE_SECONDS)
            size = writer.write(picture, where, self._source.shown())
            # So that whoever lists it later knows when it was taken.
            with suppress(OSError):
                os.utime(where, (taken, taken))
        except EgressError as error:
            self._loop.call_soon_threadsafe(self._fail, error)
        except Exception as error:
            failure = OutputFailed(f"Writing an image failed: {error!r}", fault=Fault.OURS)
            self._loop.call_soon_threadsafe(self._fail, failure)
        else:
            self._loop.call_soon_threadsafe(self._written, where, size, taken)

    # -- the event loop ---------------------------------------------------------------------------------------------

    def _place(self, name: str, path: Future[Path]) -> None:
        try:
            path.set_result(self._delivery.place(name, self._output.storage))
        except Exception as error:
            path.set_exception(error)

    def _written(self, path: Path, size: int, taken: Wall) -> None:
        self._path = path
        self._bytes += size
        if len(self._pending) >= self._most_pending:
            self._fail(
                OutputFailed(
                    f"upload queue full: {len(self._pending)} images wait for their storage",
                    remedy="The storage is too slow for one every "
                    f"{self._output.interval} s: choose a longer interval or another storage",
                    code=Code.INTERNAL,
                )
            )
            return
        future = self._delivery.deliver(path, ObjectKind.IMAGE)
        self._pending.add(future)
        future.add_done_callback(lambda future: self._delivered(future, taken))

    def _delivered(self, future: asyncio.Future[Delivered], taken: Wall) -> None:
        self._pending.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, EgressError):
            self._fail(error)
        elif error is not None:
            self._fail(OutputFailed(f"An image was not delivered: {error!r}", fault=Fault.OURS))
        else:
            self._count = self._count + 1
            first, last = self._times or (taken, taken)
            self._times = min(first, taken), max(last, taken)

    def _fail(self, error: EgressError) -> None:
        self._errors.append(error)
        self._on_failed(error)
