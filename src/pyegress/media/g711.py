"""G.711 (ITU-T G.711, RFC 3551 section 4.5.14) to stereo at 48 kHz, with concealment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyegress.codecs import Codec
from pyegress.media.concealment import extend
from pyegress.media.resampling import windowed_sinc

_RATE, _FACTOR = 8_000, 6
#: Samples of 8 kHz on each side of an interpolated one.
_REACH = 12
#: What concealment is made from, and how long it is mixed into what follows, samples of 8 kHz.
_HISTORY, _REJOIN = 320, 40


def _tables() -> dict[Codec, NDArray[np.float32]]:
    code = np.arange(256)
    mu = ~code & 0xFF
    size = (((mu & 0x0F) << 3) + 0x84 << ((mu & 0x70) >> 4)) - 0x84
    mu_law = np.where(mu & 0x80, -size, size)
    a = code ^ 0x55
    segment = (a & 0x70) >> 4
    size = ((a & 0x0F) << 4) + 8
    size = np.where(segment == 0, size, (size + 0x100) << np.maximum(segment - 1, 0))
    a_law = np.where(a & 0x80, size, -size)
    return {
        Codec.PCMU: (mu_law / 32768).astype(np.float32),
        Codec.PCMA: (a_law / 32768).astype(np.float32),
    }


def _phases() -> NDArray[np.float32]:
    """(2 * _REACH, 6): column k interpolates at k/6 behind the middle sample."""
    taps = np.arange(2 * _REACH) - (_REACH - 1)
    fractions = np.arange(_FACTOR) / _FACTOR
    kernel = windowed_sinc(taps[:, None] - fractions[None, :], _REACH, 8.0)
    return np.ascontiguousarray(kernel / kernel.sum(axis=0), np.float32)


_TABLES = _tables()
_PHASES = _phases()


class G711Decoder:
    """One PCMU or PCMA stream to float32 (n, 2) at 48 kHz; every byte decodes, so no packet is ever damaged."""

    __slots__ = ("_concealed", "_history", "_table", "damaged")

    #: Sound comes out this much later than it goes in, samples of 48 kHz.
    delay = _REACH * _FACTOR

    def __init__(self, codec: Codec) -> None:
        self._table = _TABLES[codec]
        self._history = np.zeros((_HISTORY, 1), np.float32)
        self._concealed = False
        self.damaged = 0

    def decode(self, payload: bytes, duration: int) -> NDArray[np.float32]:
        """The sound of a packet; after concealment its beginning is mixed with what concealment would go on with."""
        narrow = self._table[np.frombuffer(payload, np.uint8)].reshape(-1, 1)
        if self._concealed and len(narrow):
            self._concealed = False
            length = min(_REJOIN, len(narrow))
            rise = np.linspace(0, 1, length, dtype=np.float32).reshape(-1, 1)
            old = extend(self._history, length, _RATE)
            narrow[:length] = narrow[:length] * rise + old * (1 - rise)
        return self._widen(narrow)

    def conceal(self, count: int) -> NDArray[np.float32]:
        """`count` samples of 48 kHz that go on where the last packet ended."""
        self._concealed = True
        narrow = extend(self._history, -(-count // _FACTOR), _RATE)
        return self._widen(narrow)[:count]

    def recover(self, payload: bytes, count: int) -> NDArray[np.float32] | None:
        """G.711 has no FEC."""
        return None

    def _widen(self, narrow: NDArray[np.float32]) -> NDArray[np.float32]:
        known = np.concatenate((self._history, narrow))
        self._history = known[-_HISTORY:]
        # The first output lies _REACH samples before the first new one.
        mono = known[_HISTORY - 2 * _REACH + 1 :, 0]
        windows = np.lib.stride_tricks.sliding_window_view(mono, 2 * _REACH)
        wide = np.ascontiguousarray(windows) @ _PHASES
        return np.repeat(wide.reshape(-1, 1), 2, axis=1)
