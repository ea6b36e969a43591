"""What outputs without files have in common: what comes goes to destinations at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pyegress.codecs import Kind
from pyegress.lifecycle.outcome import StreamOutcome
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.progress import Recorded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pyegress.media.picture import Picture


class Destinations(Protocol):
    """All destinations of one output."""

    @property
    def streams(self) -> tuple[StreamOutcome, ...]: ...

    @property
    def idle(self) -> bool: ...

    async def finish(self) -> None: ...


class LiveSink:
    """An `OutputSink` that takes nothing: what its destinations take is up to each kind of them."""

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    @property
    def bytes_written(self) -> int:
        return 0

    @property
    def paths(self) -> list[Path]:
        return []

    @property
    def streams(self) -> tuple[StreamOutcome, ...]:
        return self._destinations.streams

    @property
    def idle(self) -> bool:
        """Whether no destination is left."""
        return self._destinations.idle

    def packet(self, kind: Kind, packet: EncodedFrame) -> None:
        """Not taken."""

    def picture(self, picture: Picture, at: float) -> None:
        """Not taken."""

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        """Not taken."""

    async def finish(self) -> Recorded:
        """Send what is left, and end every stream in order."""
        await self._destinations.finish()
        return Recorded(streams=self.streams)
