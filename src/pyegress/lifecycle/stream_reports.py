"""Which changes of streams are told at once, and which may wait. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyegress.clock import Monotonic
from pyegress.lifecycle.outcome import StreamOutcome

#: Seconds between reports of retries of one stream: a destination that comes and goes is no news every second.
RETRY_INTERVAL = 60.0


class StreamReports:
    """Remembers what was told of the streams of one egress."""

    def __init__(self) -> None:
        self._told: tuple[StreamOutcome, ...] = ()
        #: When the retries of each stream, by its place, were told last.
        self._retries_told: dict[int, Monotonic] = {}

    def due(self, streams: Sequence[StreamOutcome], now: Monotonic) -> bool:
        """Whether to tell how they stand now; taken as told if so."""
        if tuple(map(_lasting, streams)) == tuple(map(_lasting, self._told)):
            retried = [
                index
                for index, (stream, told) in enumerate(zip(streams, self._told, strict=True))
                if stream.retries != told.retries
            ]
            if not any(self._may_tell(index, now) for index in retried):
                return False
        for index, stream in enumerate(streams):
            if stream.retries:
                self._retries_told[index] = now
        self._told = tuple(streams)
        return True

    def _may_tell(self, index: int, now: Monotonic) -> bool:
        before = self._retries_told.get(index)
        return before is None or now - before >= RETRY_INTERVAL


def _lasting(stream: StreamOutcome) -> StreamOutcome:
    """Everything but the retries."""
    return replace(stream, retries=0, last_retry_at=None)
