"""One file with what the encoders of a composition make."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.outputs.writer_thread import WriterThread
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivery, ObjectKind
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import Recorded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture


class EncodedFile:
    """An `OutputSink`. Begins with the first packets of every kind that is expected."""

    def __init__(
        self,
        path: Path,
        container: Container,
        source: Source,
        delivery: Delivery,
        *,
        metadata: Mapping[str, str],
        on_failed: Callable[[EgressError], None],
    ) -> None:
        """Must be called with a running loop."""
        self._path = path
        self._container = container
        self._source = source
        self._delivery = delivery
        self._metadata = metadata
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[tuple[Kind, EncodedFrame]] = []
        self._streams: dict[Kind, int] = {}
        self._opening = False
        self._thread: WriterThread | None = None

    @property
    def bytes_written(self) -> int:
        return self._thread.bytes_written if self._thread is not None else 0

    @property
    def paths(self) -> list[Path]:
        return [self._path] if self.bytes_written else []

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return ()

    def picture(self, picture: Picture, at: float) -> None:
        """Files take packets."""

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """Files take packets."""

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """The next packet of a kind. Any thread, one for each kind."""
        with self._lock:
            thread = self._thread
            if thread is None:
                self._waiting.append((kind, packet))
                complete = not self._opening and {kind for kind, _ in self._waiting} == self._source.kinds
                self._opening = self._opening or complete
        if thread is not None:
            thread.submit(self._streams[kind], packet, packet.timestamp)
        elif complete:
            self._loop.call_soon_threadsafe(self._open)

    async def finish(self) -> Recorded:
        """Finish the file and deliver it."""
        self._open()
        if self._thread is None:
            return Recorded()
        try:
            result = await self._thread.aclose()
        except EgressError as error:
            return Recorded(errors=(error,))
        file = self._source.describe(result, self._thread.dropped.total)
        try:
            delivered = await self._delivery.deliver(result.path, ObjectKind.FILE)
        except EgressError as error:
            return Recorded((file,), errors=(error,))
        return Recorded((replace(file, filename=delivered.name, location=delivered.location),))

    def _open(self) -> None:
        with self._lock:
            if self._thread is not None or not self._waiting:
                return
            firsts: dict[Kind, EncodedFrame] = {}
            for kind, packet in self._waiting:
                firsts.setdefault(kind, packet)
            # Pictures first: players look for them there.
            kinds = sorted(firsts, key=lambda kind: kind is not Kind.VIDEO)
            self._streams = {kind: index for index, kind in enumerate(kinds)}
            specs = [self._source.spec_for(firsts[kind]) for kind in kinds]
            thread = WriterThread(
                self._path, self._container, specs, metadata=self._metadata, on_failed=self._on_failed
            )
            for kind, packet in self._waiting:
                thread.submit(self._streams[kind], packet, packet.timestamp)
            self._waiting.clear()
            self._thread = thread
