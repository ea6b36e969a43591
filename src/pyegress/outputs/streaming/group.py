"""All destinations of one stream output: packets of the encoders become units once, and go to each destination."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from pyegress.codecs import Kind
from pyegress.errors import Code, EgressError, Fault, NotFound
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.outputs.streaming.interleaver import Interleaver
from pyegress.outputs.streaming.sender import StreamSender
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.stream_urls import Destination
from pyegress.rtp.frame import EncodedFrame

logger = logging.getLogger(__name__)


class Packager(Protocol):
    """Packets of encoders in, units of a protocol out. Called under a lock, from media threads."""

    def package(self, kind: Kind, frame: EncodedFrame) -> Unit: ...


#: Makes the sender of a destination: with what asks for a start, and whom to tell of a failure.
MakeSender = Callable[[Destination, Callable[[StreamSender, EgressError], None]], StreamSender]


class StreamGroup:
    """Made on the event loop; `packet` from media threads, everything else on the loop.

    `on_failed` is told of every destination that is given up, and `on_empty` when it was the last one, with its error,
    or without one when the last was removed.
    """

    def __init__(
        self,
        kinds: frozenset[Kind],
        packager: Packager,
        make_sender: MakeSender,
        *,
        on_failed: Callable[[EgressError], None],
        on_empty: Callable[[EgressError | None], None],
    ) -> None:
        self._packager = packager
        self._make_sender = make_sender
        self._on_failed = on_failed
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._interleaver = Interleaver(kinds)
        self._ready: list[Unit] = []
        self._senders: list[StreamSender] = []
        self._removing: set[asyncio.Task[None]] = set()
        self._ending = False

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        """Every destination that there was, in the order in which they came."""
        return tuple(sender.outcome for sender in self._senders)

    @property
    def active(self) -> list[StreamSender]:
        """Those that are sent to, or tried again."""
        return [sender for sender in self._senders if not sender.over]

    def add(self, target: Destination) -> None:
        """Begin to stream there too. Raises InvalidRequest when it is streamed to already."""
        for sender in self.active:
            if sender.target.url == target.url or (target.id and sender.target.id == target.id):
                raise _already(target)
        self._senders.append(self._make_sender(target, self._given_up))

    def remove(self, url: str) -> None:
        """Stop streaming there, in order; `url` as it was asked for, or as infos show it. Raises NotFound."""
        found = [sender for sender in self.active if url in (sender.target.url, sender.target.shown)]
        if not found:
            raise NotFound(
                "stream not found: no stream of this egress goes there", field="remove_output_urls"
            )
        for sender in found:
            task = self._loop.create_task(sender.finish(), name=f"end the stream to {sender.target.shown}")
            self._removing.add(task)
            task.add_done_callback(self._removed)

    def packet(self, kind: Kind, frame: EncodedFrame) -> None:
        """The next packet of an encoder."""
        with self._lock:
            idle = not self._ready
            self._ready += self._interleaver.push(self._packager.package(kind, frame))
            wake = idle and bool(self._ready)
        if wake:
            self._loop.call_soon_threadsafe(self._hand_out)

    async def finish(self) -> None:
        """Send what is there, and end every stream in order. Idempotent."""
        self._ending = True
        with self._lock:
            self._ready += self._interleaver.flush()
        self._hand_out()
        await asyncio.gather(*(sender.finish() for sender in self._senders))
        if self._removing:
            await asyncio.wait(self._removing)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        with self._lock:
            units, self._ready = self._ready, []
        for sender in self.active:
            for unit in units:
                sender.submit(unit)

    def _given_up(self, sender: StreamSender, error: EgressError) -> None:
        self._on_failed(error)
        if not self.active and not self._ending:
            self._on_empty(error)

    def _removed(self, task: asyncio.Task[None]) -> None:
        self._removing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a stream was not ended in order: %r", error)
        if not self.active and not self._ending:
            self._on_empty(None)


def _already(target: Destination) -> EgressError:
    return EgressError(
        f"There is a stream to {target.shown} already",
        field="add_output_urls",
        code=Code.ALREADY_EXISTS,
        fault=Fault.CALLER,
        remedy="Remove it first, or use another key: services take one publisher for each",
    )
