"""All destinations of one stream output: packets of the encoders become units once, and go to each destination."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from pyegress.codecs import Kind
from pyegress.errors import EgressError
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.outputs.streaming.interleaver import Interleaver
from pyegress.outputs.streaming.sender import Connection, StreamSender
from pyegress.outputs.streaming.unit import Unit
from pyegress.plan.stream_updates import (
    MOST_DESTINATIONS,
    already_streaming,
    ending,
    stream_not_found,
    too_many_destinations,
)
from pyegress.plan.stream_urls import Destination, redact_url
from pyegress.rtp.frame import EncodedFrame

logger = logging.getLogger(__name__)


class Publisher(Protocol):
    """How media gets to destinations of one protocol."""

    def package(self, kind: Kind, frame: EncodedFrame) -> Unit:
        """The unit of a packet of an encoder. From media threads, never two at once."""

    async def connect(self, target: Destination) -> Connection:
        """A connection to a destination that has agreed to take media. Raises EgressError."""


class StreamGroup:
    """Made on the event loop; `packet` from media threads, everything else on the loop.

    `window` is how long a lost destination is tried again, seconds; `want_start` has the encoder make a key frame.
    `on_failed` is told of every destination that is given up, and `on_empty` when it was the last one, with its error,
    or without one when the last was removed.
    """

    def __init__(
        self,
        kinds: frozenset[Kind],
        publisher: Publisher,
        *,
        window: float,
        want_start: Callable[[], None],
        on_failed: Callable[[EgressError], None],
        on_empty: Callable[[EgressError | None], None],
    ) -> None:
        self._publisher = publisher
        self._window = window
        self._want_start = want_start
        self._on_failed = on_failed
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._interleaver = Interleaver(kinds)
        self._ready: list[Unit] = []
        self._senders: list[StreamSender] = []
        self._removing: set[asyncio.Task[None]] = set()
        self._ending = False
        self._broken = False
        #: Why nothing can be streamed any more.
        self._unfit: EgressError | None = None

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        """Every destination that there was, in the order in which they came."""
        return tuple(sender.outcome for sender in self._senders)

    @property
    def active(self) -> list[StreamSender]:
        """Those that are sent to, or tried again."""
        return [sender for sender in self._senders if not sender.over]

    @property
    def idle(self) -> bool:
        """Whether nothing is streamed anywhere."""
        return not self.active

    def add(self, target: Destination) -> None:
        """Begin to stream there too. Raises EgressError when it is streamed to already, or there are too many."""
        if self._ending:
            raise ending()
        if self._unfit is not None:
            raise self._unfit
        for sender in self.active:
            if sender.target.url == target.url or (target.id and sender.target.id == target.id):
                raise already_streaming(target.shown)
        if len(self.active) >= MOST_DESTINATIONS:
            raise too_many_destinations(len(self.active) + 1)
        self._senders.append(
            StreamSender(
                target,
                lambda: self._publisher.connect(target),
                window=self._window,
                want_start=self._want_start,
                on_failed=self._given_up,
            )
        )

    def remove(self, url: str) -> None:
        """Stop streaming there, in order: `url` as it was asked for, its id, or as infos show it. Raises NotFound."""
        sender = self._find(url)
        sender.stop()
        task = self._loop.create_task(sender.finish(), name=f"end the stream to {sender.target.shown}")
        self._removing.add(task)
        task.add_done_callback(self._removed)

    def packet(self, kind: Kind, frame: EncodedFrame) -> None:
        """The next packet of an encoder."""
        with self._lock:
            if self._broken:
                return
            idle = not self._ready
            try:
                self._ready += self._interleaver.push(self._publisher.package(kind, frame))
            except Exception as error:
                # The other outputs shall not know of it.
                logger.exception("packets cannot be streamed")
                self._broken = True
                self._loop.call_soon_threadsafe(self._break, error)
            wake = idle and bool(self._ready)
        if wake:
            self._loop.call_soon_threadsafe(self._hand_out)

    def fail(self, error: EgressError) -> None:
        """Give up every destination: nothing that comes can be streamed."""
        self._unfit = error
        for sender in self.active:
            sender.fail(error)

    async def finish(self) -> None:
        """Send what is there, and end every stream in order. Idempotent."""
        self._ending = True
        with self._lock:
            self._ready += self._interleaver.flush()
        self._hand_out()
        await asyncio.gather(*(sender.finish() for sender in self._senders))
        if self._removing:
            await asyncio.wait(self._removing)

    def _find(self, url: str) -> StreamSender:
        going = [sender for sender in self.active if not sender.finishing]
        for sender in going:
            if url and url in (sender.target.url, sender.target.ingest, sender.target.id):
                return sender
        # Several keys may be shown alike.
        alike = [sender for sender in going if sender.target.shown == url]
        if len(alike) == 1:
            return alike[0]
        raise stream_not_found(redact_url(url))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _hand_out(self) -> None:
        with self._lock:
            units, self._ready = self._ready, []
        for sender in self.active:
            for unit in units:
                sender.submit(unit)

    def _break(self, error: Exception) -> None:
        message = f"What was encoded cannot be streamed ({type(error).__name__})"
        self.fail(EgressError(message, remedy="Please report it, with the log"))

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
