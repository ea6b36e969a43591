"""Room events for any number of consumers, each of which sees all events from its beginning on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Self

from pyegress.room.events import RoomEvent

log = logging.getLogger(__name__)


class EventStream(AsyncIterator[RoomEvent]):
    """The events from the moment of its making on; ends after the last one. For one consumer."""

    def __init__(self, forget: Callable[[EventStream], None]) -> None:
        self._queue: asyncio.Queue[RoomEvent | None] = asyncio.Queue()
        self._forget = forget
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RoomEvent:
        event = None if self._over else await self._queue.get()
        if event is None:
            self._over = True
            raise StopAsyncIteration
        return event

    def put(self, event: RoomEvent | None) -> None:
        """Append an event; None ends the stream."""
        self._queue.put_nowait(event)

    def close(self) -> None:
        """Stop collecting events; who waits for one is released."""
        self._forget(self)
        self.put(None)


class EventFeed:
    """Hands each event to all listeners and streams, in this order."""

    def __init__(self) -> None:
        self._streams: list[EventStream] = []
        self._listeners: list[Callable[[RoomEvent], None]] = []
        self._over = False

    def stream(self) -> EventStream:
        """A new stream; of a feed that is over, an empty one."""
        stream = EventStream(self._remove)
        if self._over:
            stream.put(None)
        else:
            self._streams.append(stream)
        return stream

    def add_listener(self, listener: Callable[[RoomEvent], None]) -> Callable[[], None]:
        """Call `listener` for every event; the returned function ends that."""
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def emit(self, event: RoomEvent) -> None:
        """Deliver one event. A listener that raises is logged; the others get the event all the same."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed at %s", type(event).__name__)
        for stream in self._streams:
            stream.put(event)

    def end(self) -> None:
        """No more events."""
        self._over = True
        for stream in self._streams:
            stream.put(None)
        self._streams.clear()
        self._listeners.clear()

    def _remove(self, stream: EventStream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
