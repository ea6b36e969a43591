"""One file with what the encoders of a composition make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.writer_thread import WriterThread
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.delivery import Delivery, ObjectKind
from pyegress.worker.first_packets import FirstPackets, Submit
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
        self._first = FirstPackets(source, self._begin)
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
        self._first.packet(kind, packet)

    async def finish(self) -> Recorded:
        """Finish the file and deliver it."""
        self._first.open()
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
        return Recorded((file.brought(delivered),))

    def _begin(self, streams: Sequence[StreamSpec]) -> Submit:
        thread = WriterThread(
            self._path,
            self._container,
            streams,
            metadata=self._metadata,
            on_failed=self._on_failed,
            on_written=lambda written: self._delivery.grown(self._path, written),
        )
        self._thread = thread
        return lambda stream, packet: thread.submit(stream, packet, packet.timestamp)
