"""The beginning of an output: it needs the first packet of every kind before it can say what it holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from pyegress.codecs import Kind
from pyegress.outputs.copied_streams import PATIENCE
from pyegress.outputs.muxer import StreamSpec
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.output_sink import Source

#: Takes the packets of a stream, by its index.
Submit = Callable[[int, EncodedFrame], object]


class FirstPackets:
    """Holds packets back until every kind that is encoded has come; then the output begins, and gets all of them."""

    def __init__(
        self,
        source: Source,
        begin: Callable[[Sequence[StreamSpec]], Submit],
        *,
        extend: Callable[[StreamSpec], object] | None = None,
    ) -> None:
        """`begin` is called once, on the event loop, with the streams, video first. Needs a running loop.

        `extend` is told of a kind that comes so late that it was not waited for any more, on the thread that brings it.
        """
        self._source = source
        self._begin = begin
        self._extend = extend
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[tuple[Kind, EncodedFrame]] = []
        self._streams: dict[Kind, int] = {}
        self._opening = False
        self._submit: Submit | None = None

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """The next packet of a kind. Any thread, one for each kind."""
        with self._lock:
            submit = self._submit
            if submit is None:
                self._waiting.append((kind, packet))
                complete = not self._opening and self._complete(kind, packet)
                self._opening = self._opening or complete
            elif kind not in self._streams and self._extend is not None:
                self._streams[kind] = len(self._streams)
                self._extend(self._source.spec_for(packet))
        if submit is not None:
            if kind in self._streams:
                submit(self._streams[kind], packet)
        elif complete:
            self._loop.call_soon_threadsafe(self.open)

    def _complete(self, kind: Kind, packet: EncodedFrame) -> bool:
        """Whether nothing has to be waited for any more."""
        if {kind for kind, _ in self._waiting} == self._source.kinds:
            return True
        rate = packet.codec.clock_rate or self._source.spec_for(packet).clock_rate
        return self._extend is not None and packet.timestamp > PATIENCE * rate

    def open(self) -> None:
        """Begin with what has come, if anything has. Idempotent; on the event loop."""
        with self._lock:
            if self._submit is not None or not self._waiting:
                return
            firsts: dict[Kind, EncodedFrame] = {}
            for kind, packet in self._waiting:
                firsts.setdefault(kind, packet)
            # Pictures first: players look for them there.
            kinds = sorted(firsts, key=lambda kind: kind is not Kind.VIDEO)
            self._streams = {kind: index for index, kind in enumerate(kinds)}
            submit = self._begin([self._source.spec_for(firsts[kind]) for kind in kinds])
            for kind, packet in self._waiting:
                submit(self._streams[kind], packet)
            self._waiting.clear()
            self._submit = submit
