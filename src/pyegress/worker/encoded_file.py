"""One file with what the encoders of a composition make."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.outputs.file_writer import FileResult
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.writer_thread import WriterThread
from pyegress.plan.containers import Container
from pyegress.rtp.frame import EncodedFrame


class EncodedFile:
    """Begins with the first packets of every kind that is expected; `packet` comes from the encoders' threads."""

    def __init__(
        self,
        path: Path,
        container: Container,
        kinds: frozenset[Kind],
        *,
        spec_for: Callable[[EncodedFrame], StreamSpec],
        metadata: Mapping[str, str],
        on_failed: Callable[[EgressError], None],
    ) -> None:
        """`spec_for` describes the stream that a first packet begins. Must be called with a running loop."""
        self.path = path
        self._container = container
        self._expected = kinds
        self._spec_for = spec_for
        self._metadata = metadata
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[tuple[Kind, EncodedFrame]] = []
        self._streams: dict[Kind, int] = {}
        self._opening = False
        self._thread: WriterThread | None = None
        self.result: FileResult | None = None

    @property
    def bytes_written(self) -> int:
        return self._thread.bytes_written if self._thread is not None else 0

    @property
    def dropped(self) -> int:
        """Packets that the disk was too slow for."""
        return self._thread.dropped.total if self._thread is not None else 0

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """The next packet of a kind. Any thread, one for each kind."""
        with self._lock:
            thread = self._thread
            if thread is None:
                self._waiting.append((kind, packet))
                complete = not self._opening and {kind for kind, _ in self._waiting} == self._expected
                self._opening = self._opening or complete
        if thread is not None:
            thread.submit(self._streams[kind], packet, packet.timestamp)
        elif complete:
            self._loop.call_soon_threadsafe(self._open)

    async def finish(self) -> FileResult | None:
        """Finish the file; None if nothing came for it. Raises EgressError if it could not be made."""
        self._open()
        if self._thread is not None:
            self.result = await self._thread.aclose()
        return self.result

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
            specs = [self._spec_for(firsts[kind]) for kind in kinds]
            thread = WriterThread(self.path, self._container, specs, metadata=self._metadata, on_failed=self._on_failed)
            for kind, packet in self._waiting:
                thread.submit(self._streams[kind], packet, packet.timestamp)
            self._waiting.clear()
            self._thread = thread
