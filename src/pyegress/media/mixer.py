"""The mix of a session: tracks to their sides, summed, limited. Stereo float32 at 48 kHz."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pyegress.media.limiter import CELL, LIMITER_DELAY, Limiter
from pyegress.plan.sources import Channel

#: A change of sides takes 5 ms; a removed track is given up after 10 s, in samples.
_TURN, _PATIENCE = 240, 480_000
#: Rows: from left, from right; columns: to left, to right.
_SIDES = {
    Channel.BOTH: np.array([[1, 0], [0, 1]], np.float32),
    Channel.LEFT: np.array([[0.5, 0], [0.5, 0]], np.float32),
    Channel.RIGHT: np.array([[0, 0.5], [0, 0.5]], np.float32),
}
_RAMP = np.linspace(0, 1, _TURN, dtype=np.float32)[:, None]


class Sound(Protocol):
    """What can be mixed, for instance an AudioTrack."""

    @property
    def drained(self) -> bool:
        """Whether nothing is left."""

    def read(self, start: int, count: int) -> NDArray[np.float32] | None:
        """Samples (count, 2) of consecutive windows, None for silence."""


class _Voice:
    __slots__ = ("channel", "leaves_at", "sound", "turning_from")

    def __init__(self, sound: Sound, channel: Channel) -> None:
        self.sound = sound
        self.channel = channel
        self.turning_from: Channel | None = None
        self.leaves_at: int | None = None


class Mixer:
    """Consecutive blocks of the session's sound. It reads its tracks up to 6 ms ahead of what it renders."""

    __slots__ = ("_at", "_leaving", "_limiter", "_read_to", "_ready", "_voices")

    def __init__(self) -> None:
        self._voices: dict[Hashable, _Voice] = {}
        self._leaving: list[_Voice] = []
        self._limiter = Limiter()
        self._at: int | None = None
        self._read_to = 0
        self._ready = np.zeros((0, 2), np.float32)

    @property
    def limited(self) -> int:
        """Milliseconds in which the limiter had to act."""
        return self._limiter.active

    def add(self, key: Hashable, track: Sound, channel: Channel = Channel.BOTH) -> None:
        """Mix a track from the next block on. A track that has the key already leaves."""
        self.remove(key)
        self._voices[key] = _Voice(track, channel)

    def remove(self, key: Hashable) -> None:
        """Take nothing new for a track: what it still has is played out. Nothing if there is none of this key."""
        if (voice := self._voices.pop(key, None)) is not None:
            voice.leaves_at = self._read_to + _PATIENCE
            self._leaving.append(voice)

    def set_channel(self, key: Hashable, channel: Channel) -> None:
        """Move a track to another side, without a click. Nothing if there is none of this key."""
        voice = self._voices.get(key)
        if voice is not None and voice.channel is not channel:
            if voice.turning_from is None:
                voice.turning_from = voice.channel
            voice.channel = channel

    def render(self, start: int, count: int) -> NDArray[np.float32]:
        """The mix (count, 2) from session sample `start`, where the last block ended; a jump forward begins anew."""
        if self._at is not None and start < self._at:
            raise ValueError(f"sample {start} has been rendered: the next one is {self._at}")
        if self._at is None or start > self._at:
            self._limiter = Limiter()
            self._read_to = start
            self._ready = self._limited(LIMITER_DELAY)[:0]
        missing = count - len(self._ready)
        if missing > 0:
            made = self._limited(-(-missing // CELL) * CELL)
            self._ready = np.concatenate((self._ready, made)) if len(self._ready) else made
        out, self._ready = self._ready[:count], self._ready[count:]
        self._at = start + count
        return out

    def _limited(self, count: int) -> NDArray[np.float32]:
        start, self._read_to = self._read_to, self._read_to + count
        mix = np.zeros((count, 2), np.float32)
        for voice in (*self._voices.values(), *self._leaving):
            block = voice.sound.read(start, count)
            if block is None:
                voice.turning_from = None
                continue
            mix += _sided(voice, block)
        if self._leaving:
            self._leaving = [v for v in self._leaving if not v.sound.drained and start < (v.leaves_at or 0)]
        return self._limiter.process(mix)


def _sided(voice: _Voice, block: NDArray[np.float32]) -> NDArray[np.float32]:
    """The block on its side or sides."""
    turning, voice.turning_from = voice.turning_from, None
    placed = block if voice.channel is Channel.BOTH else block @ _SIDES[voice.channel]
    if turning is not None:
        length = min(_TURN, len(block))
        ramp = _RAMP[-length:]
        placed = placed.copy()
        placed[:length] = placed[:length] * ramp + (block[:length] @ _SIDES[turning]) * (1 - ramp)
    return placed
