"""Sound without a hole: decoded samples that follow one another, and how they lie on the session clock.

Between corrections samples are copied as they are. A correction moves them by a whole number of samples over a time
long enough that nobody hears it: the speed rises, stays and falls again, and ends where samples can be copied again.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pyegress.media.resampling import AFTER, BEFORE, interpolate

#: Fades at the edges of silence, samples of 48 kHz: 5 ms.
FADE = 240
_RISE = (0.5 - 0.5 * np.cos(np.pi * (np.arange(FADE) + 0.5) / FADE)).astype(np.float32)[:, None]
#: The most that sound is sped up or slowed down, the usual, and how long the speed takes to change (samples).
_MAX_SPEED, _USUAL_SPEED, _EASE = 0.0039, 0.001, 4800
#: A correction should be over after about this many samples, if the speed allows.
_SOON = 48_000


class Correction:
    """A shift by `move` samples: trapezoidal speed, `shift(t)` goes from 0 to `move` in `length` samples."""

    __slots__ = ("_speed", "length", "move")

    def __init__(self, move: int) -> None:
        self.move = move
        amount = abs(move)
        speed = min(_MAX_SPEED, max(_USUAL_SPEED, amount / _SOON), amount / _EASE)
        self._speed = math.copysign(speed, move)
        self.length = round(amount / speed) + _EASE

    def shift(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Samples by which sound is late after `times` samples."""
        end = self.length - _EASE
        up = np.minimum(times, _EASE)
        down = np.maximum(times - end, 0)
        whole = (up * up - down * down) / (2 * _EASE) + np.maximum(times - _EASE, 0)
        # What rounding of the length leaves is spread over all of it.
        scale: float = self.move / end
        shifted: NDArray[np.float64] = whole * scale
        return shifted


class Segment:
    """A first-in first-out of samples whose next one is due at a session sample. Ends once, by `end` or `cut`."""

    __slots__ = ("_block", "_correction", "_done", "_fade_in", "_origin", "_stop", "_used", "at")

    def __init__(self, at: int) -> None:
        #: Session sample that is read next.
        self.at = at
        self._block = np.zeros((BEFORE, 2), np.float32)
        #: Index in the block of the sample that is read next; samples before it are history.
        self._used = BEFORE
        self._fade_in = 0
        self._stop: int | None = None
        self._correction: Correction | None = None
        self._done = 0
        self._origin = 0

    @property
    def left(self) -> int:
        """Samples that have not been read."""
        return len(self._block) - self._used

    @property
    def correcting(self) -> bool:
        return self._correction is not None

    @property
    def ended(self) -> bool:
        """Nothing will be appended."""
        return self._stop is not None

    @property
    def over(self) -> bool:
        """Ended, and all of it has been read."""
        return self._stop is not None and self.at >= self._stop

    def needed(self, count: int) -> int:
        """Samples to append before `count` more can be read exactly."""
        correction = self._correction
        if correction is None:
            return count - self.left
        ahead = self._ahead(correction, self._done + count)
        return self._origin + math.ceil(ahead) + AFTER + 1 - len(self._block)

    def append(self, block: NDArray[np.float32]) -> None:
        """Sound that follows."""
        keep = self._used - BEFORE
        if keep > 0:
            self._used -= keep
            self._origin -= keep
        self._block = np.concatenate((self._block[max(0, keep) :], block))

    def correct(self, move: int) -> None:
        """Make the sound `move` samples later (earlier if negative), slowly. Nothing while a correction is going on."""
        if self._correction is None and move and not self.ended:
            self._correction = Correction(move)
            self._done = 0
            self._origin = self._used

    def end(self) -> None:
        """Nothing follows: what is left is played, faded out at its end."""
        if self._stop is None:
            self._stop = self.at + max(0, self.left - (AFTER + 4 if self.correcting else 0))

    def cut(self, at: int) -> None:
        """Fade out from session sample `at` on, if it has not ended before."""
        stop = max(at, self.at) + FADE
        have = self.at + max(0, self.left - (AFTER + 4 if self.correcting else 0))
        self._stop = min(stop, have if self._stop is None else self._stop)

    def read_into(self, out: NDArray[np.float32], start: int) -> None:
        """Add what falls into `out` (count, 2), which begins at session sample `start` <= `at`."""
        offset = self.at - start
        count = len(out) - offset
        if self._stop is not None:
            count = min(count, self._stop - self.at)
        if count <= 0:
            return
        sound = self._take(count)
        if self._fade_in < FADE:
            length = min(FADE - self._fade_in, count)
            sound[:length] *= _RISE[self._fade_in : self._fade_in + length]
            self._fade_in += length
        if self._stop is not None and self.at + count > self._stop - FADE:
            index = np.arange(max(self._stop - FADE, self.at), self.at + count)
            sound[index[0] - self.at :] *= _RISE[self._stop - 1 - index]
        out[offset : offset + count] += sound
        self.at += count

    def _ahead(self, correction: Correction, done: int) -> float:
        """Samples used since the correction began, `done` samples of output later."""
        time = np.array([float(min(done, correction.length))])
        return done - float(correction.shift(time)[0])

    def _take(self, count: int) -> NDArray[np.float32]:
        parts = []
        if (correction := self._correction) is not None:
            length = min(count, correction.length - self._done)
            times = np.arange(self._done, self._done + length, dtype=np.float64)
            positions = self._origin + times - correction.shift(times)
            short = math.ceil(positions[-1]) + AFTER + 1 - len(self._block)
            if short > 0:
                self.append(np.zeros((short, 2), np.float32))
                positions = self._origin + times - correction.shift(times)
            parts.append(interpolate(self._block, positions))
            self._done += length
            self._used = self._origin + math.floor(self._ahead(correction, self._done))
            if self._done == correction.length:
                self._used = self._origin + correction.length - correction.move
                self._correction = None
            count -= length
        if count:
            plain = self._block[self._used : self._used + count]
            self._used += count
            if len(plain) < count:
                plain = np.concatenate((plain, np.zeros((count - len(plain), 2), np.float32)))
            parts.append(plain)
        return np.concatenate(parts) if len(parts) > 1 else parts[0].copy()
