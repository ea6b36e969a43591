"""The sound of a page on the samples of an output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pyegress.clock import Monotonic
from pyegress.codecs import Kind
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.media.capture_sources import Sound
from pyegress.media.rate_converter import MIX_RATE
from pyegress.media.taps import SoundTap
from pyegress.rtp.frame import EncodedFrame

#: Moments of blocks that the place of the sound is estimated from, and the share of them that is believed: late ones
#: come of a busy machine, early ones of a block that came in two parts.
_MOMENTS, _BELIEVED = 400, 0.2
#: Samples: what is off by less stays as it is; what is off by more than JUMP is put right at once.
_TOLERANCE, _JUMP = 240, 2880
#: In between a block is stretched or squeezed by at most this part.
_STRETCH = 0.004
#: Seconds for the next block. The longest are 50 ms.
_PATIENCE = 0.1
#: Blocks that are kept before the output begins.
_RECENT = 32
_SECOND = float(MIX_RATE)


class CaptureSound:
    """Reads, places and hands out. One thread, the sound's."""

    def __init__(
        self,
        sound: Sound,
        encoder: AudioEncoder | None,
        tap: SoundTap | None,
        on_packet: Callable[[Kind, EncodedFrame], None],
    ) -> None:
        """Without an `encoder` only the tap gets sound."""
        self.encoder = encoder
        #: The next sample of the output, and the one behind those that were placed.
        self.sample = self.placed = 0
        self._held: deque[NDArray[np.float32]] = deque()
        self._sound = sound
        self._tap = tap
        self._on_packet = on_packet
        self._zero: Monotonic | None = None
        #: Samples read so far, and the moment of sample 0 as each block tells it.
        self._read = 0
        self._origins: deque[float] = deque(maxlen=_MOMENTS)
        #: What came last before the output began.
        self._recent: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=_RECENT)

    def begin(self, zero: Monotonic) -> None:
        """The moment of the output's second 0, which may lie in what came already: blocks come before their time."""
        self._zero = zero
        for first, block in self._recent:
            self._take(block, first)
        self._recent.clear()

    def listen(self, rest: Callable[[float], object], seconds: float) -> None:
        """Wait for a block, which tells its moment, and after some seconds take at once what came meanwhile."""
        if self.step(_PATIENCE):
            rest(seconds)
            while self.step(0.0):
                pass

    def step(self, timeout: float) -> bool:
        """Read and place what comes within `timeout` seconds; whether there was something."""
        got = self._sound.read(timeout)
        if got is None:
            return False
        block, moment = got
        if moment is not None:
            self._origins.append(moment - self._read / _SECOND)
        first, self._read = self._read, self._read + len(block)
        if self._zero is None:
            self._recent.append((first, block))
        else:
            self._take(block, first)
        return True

    def give(self, end: int) -> None:
        """Hand out what came for samples before `end`: blocks come before their time."""
        while self._held and (count := min(end - self.sample, len(self._held[0]))) > 0:
            block = self._held.popleft()
            if count < len(block):
                self._held.appendleft(block[count:])
            self._give(block[:count])

    def finish(self, end: int) -> None:
        """Hand out what came up to sample `end`, and silence where nothing did."""
        self.give(end)
        while self.sample < end:
            self._give(np.zeros((min(MIX_RATE, end - self.sample), 2), np.float32))

    def close(self) -> None:
        """Nothing more is handed out: give what the encoder still has."""
        for packet in self.encoder.flush() if self.encoder is not None else ():
            self._on_packet(Kind.AUDIO, packet)

    def _origin(self) -> float:
        ordered = sorted(self._origins)
        return ordered[int(len(ordered) * _BELIEVED)]

    def _take(self, block: NDArray[np.float32], first: int) -> None:
        """The block that begins with sample `first` of all that was read."""
        if self._origins and self._zero is not None:
            self._place(block, round((self._origin() + first / _SECOND - self._zero) * _SECOND))

    def _place(self, block: NDArray[np.float32], at: int) -> None:
        """Take a block that belongs to sample `at`."""
        off = at - self.placed
        if self.placed == 0 or abs(off) > _JUMP:
            if off < 0:
                block = block[-off:]
            else:
                self._hold(np.zeros((off, 2), np.float32))
        elif abs(off) > _TOLERANCE:
            block = _stretched(block, off)
        self._hold(block)

    def _hold(self, block: NDArray[np.float32]) -> None:
        if len(block):
            self._held.append(block)
            self.placed += len(block)

    def _give(self, block: NDArray[np.float32]) -> None:
        if self._tap is not None:
            self._tap(block, self.sample)
        if self.encoder is not None:
            for packet in self.encoder.encode(block):
                self._on_packet(Kind.AUDIO, packet)
        self.sample += len(block)


def _stretched(block: NDArray[np.float32], by: int) -> NDArray[np.float32]:
    """A block that is longer by as many samples as nobody hears, shorter for a negative number."""
    most = int(len(block) * _STRETCH)
    length = len(block) + max(-most, min(most, by))
    places = np.linspace(0, len(block) - 1, length)
    sides = [np.interp(places, np.arange(len(block)), block[:, side]) for side in range(2)]
    return np.stack(sides, axis=1).astype(np.float32)
