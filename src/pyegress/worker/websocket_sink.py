"""The sound of a plan over WebSockets, as an output of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyegress.errors import EgressError
from pyegress.outputs.websocket.receivers import SoundReceivers
from pyegress.plan.recording_plan import WebsocketOutput
from pyegress.rtp.frame import EncodedFrame
from pyegress.worker.live_sink import LiveSink
from pyegress.worker.output_sink import Source
from pyegress.worker.progress import Recorded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WebsocketSink(LiveSink):
    """Takes the sound itself. Must be made with a running loop."""

    def __init__(
        self,
        output: WebsocketOutput,
        source: Source,
        *,
        window: float,
        on_failed: Callable[[EgressError], None],
        on_empty: Callable[[EgressError | None], None],
        on_warning: Callable[[str], None],
    ) -> None:
        """`window`: how long a lost receiver is tried again, seconds; the rest as for `StreamSink`."""
        self._on_warning = on_warning
        self._receivers = SoundReceivers(
            output.destinations,
            output.format,
            window=window,
            codec=source.sound_codec,
            on_failed=on_failed,
            on_empty=on_empty,
        )
        super().__init__(self._receivers)

    def sound(self, block: NDArray[np.float32], sample: int) -> None:
        self._receivers.sound(block, sample)

    def published(self, frame: EncodedFrame) -> None:
        """The next frame of the track as it was published."""
        self._receivers.published(frame)

    def muted(self, muted: bool, at: float | None, track_id: str) -> None:
        """A track is muted or not any more, at so many seconds of the output (None: now)."""
        self._receivers.muted(muted, at, track_id)

    async def finish(self) -> Recorded:
        """Send what is left, and close every connection."""
        recorded = await super().finish()
        if self._receivers.lost:
            self._on_warning(f"A receiver was too slow or away: {self._receivers.lost:.2f} s of sound were not sent")
        return recorded
