"""Those who want pictures and sound as they are rendered, before any encoder: images, raw sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.media.rhythm import Rhythm

#: Blocks of the mix: float32 of shape (n, 2) at 48 kHz, not to be written into, and the number of the first sample.
SoundTap = Callable[[NDArray[np.float32], int], None]
#: Seconds of the output in which a tap waits for somebody's first picture: while none is expected yet, and while one
#: is. What is rendered meanwhile is a background that a moment later nobody would want.
_UNKNOWN_WAIT, _EXPECTED_WAIT = 1.0, 3.0


@dataclass(frozen=True, slots=True)
class PictureTap:
    """Somebody who wants a picture every `interval` seconds of the output, or (0) each one.

    `take` gets the picture and its second, on the media thread: it must not block. The picture belongs to the encoder
    too: it may be kept for as long as it is needed, and must not be changed.
    """

    interval: float
    take: Callable[[av.VideoFrame, float], None]


class PictureTaps:
    """The taps of one output, of `rate` ticks a second. Media thread only."""

    def __init__(self, taps: Sequence[PictureTap], rate: int) -> None:
        self._rate = rate
        self._taps = [(tap, Rhythm(tap.interval, rate) if tap.interval else None) for tap in taps]
        #: Taps whose time has come, but not a picture worth it.
        self._owed: set[int] = set()
        self._shown = False
        #: The newest picture, while somebody waits for a better one.
        self._last: tuple[av.VideoFrame, float] | None = None

    def due(self, tick: int) -> bool:
        """Whether somebody wants the picture of `tick`, which is then not to be left out."""
        return bool(self._owed) or any(rhythm is None or rhythm.falls_on(tick) for _, rhythm in self._taps)

    def offer(self, picture: av.VideoFrame, tick: int, *, shows: bool, expected: bool) -> None:
        """The picture of a tick. `shows`: somebody's picture is in it; `expected`: one is on its way."""
        self._shown |= shows
        seconds = tick / self._rate
        ready = self._shown or seconds >= (_EXPECTED_WAIT if expected else _UNKNOWN_WAIT)
        for index, (tap, rhythm) in enumerate(self._taps):
            if index not in self._owed and rhythm is not None and not rhythm.falls_on(tick):
                continue
            if ready:
                self._owed.discard(index)
                tap.take(picture, seconds)
            else:
                self._owed.add(index)
        self._last = (picture, seconds) if self._owed else None

    def finish(self) -> None:
        """The output is over: those who still wait get its last picture."""
        if self._last is not None:
            for index in sorted(self._owed):
                self._taps[index][0].take(*self._last)
        self._owed.clear()
        self._last = None
