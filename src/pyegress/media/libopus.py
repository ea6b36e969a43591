"""libopus by ctypes: FFmpeg decodes Opus without in-band FEC and concealment (RFC 6716 sections 2.1.7 and 4.4)."""

from __future__ import annotations

import ctypes
import ctypes.util
import logging
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: Opus codes at most 120 ms in a packet, at 48 kHz (RFC 6716 section 3.2.5).
LONGEST = 5760
#: Concealment comes in multiples of 2.5 ms.
STEP = 120
_CHANNELS = 2


@cache
def library() -> ctypes.CDLL | None:
    """The libopus that came with PyAV, else the system's; None (said once in the log) when there is neither."""
    beside = Path(av.__file__).parent.parent / "av.libs"
    names = [str(path) for path in sorted(beside.glob("libopus-*.so*"))]
    if system := ctypes.util.find_library("opus"):
        names.append(system)
    for name in names:
        try:
            return _declared(ctypes.CDLL(name))
        except (OSError, AttributeError) as error:
            log.debug("%s cannot be used: %s", name, error)
    log.warning("No libopus was found: lost Opus packets are concealed roughly, and their FEC is not used")
    return None


def _declared(lib: ctypes.CDLL) -> ctypes.CDLL:
    lib.opus_decoder_create.restype = ctypes.c_void_p
    lib.opus_decoder_create.argtypes = [ctypes.c_int32, ctypes.c_int, ctypes.c_void_p]
    lib.opus_decoder_destroy.restype = None
    lib.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    lib.opus_decode_float.restype = ctypes.c_int
    lib.opus_decode_float.argtypes = [
        *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32),
        *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
    ]
    return lib


def has_fec(packet: bytes) -> bool:
    """Whether a packet of one frame carries its predecessor too (LBRR flags, RFC 6716 section 4.2.3)."""
    if len(packet) < 2 or packet[0] >> 3 >= 16 or packet[0] & 3:
        return False
    config = packet[0] >> 3
    frames = (1, 1, 2, 3)[config & 3] if config < 12 else 1
    flags = packet[1]
    mid = flags >> (7 - frames) & 1
    side = packet[0] & 4 and flags >> (6 - 2 * frames) & 1 if frames < 4 else 0
    return bool(mid or side)


class LibopusDecoder:
    """One Opus stream to float32 (n, 2) at 48 kHz. Mono packets come out on both sides."""

    __slots__ = ("_address", "_decode", "_destroy", "_pcm", "_state", "damaged")

    #: Nothing is added to the sound's own delay, samples.
    delay = 0

    def __init__(self, lib: ctypes.CDLL) -> None:
        error = ctypes.c_int(0)
        self._destroy = lib.opus_decoder_destroy
        self._state: int | None = lib.opus_decoder_create(48_000, _CHANNELS, ctypes.addressof(error))
        if not self._state or error.value:
            raise MemoryError(f"opus_decoder_create failed with {error.value}")
        self._decode = lib.opus_decode_float
        self._pcm = np.zeros((LONGEST, _CHANNELS), np.float32)
        self._address = self._pcm.ctypes.data
        #: Packets that could not be decoded and were concealed.
        self.damaged = 0

    def __del__(self) -> None:
        state, self._state = getattr(self, "_state", None), None
        if state:
            self._destroy(state)

    def decode(self, payload: bytes, duration: int) -> NDArray[np.float32]:
        """The sound of a packet; concealment of `duration` samples if it is damaged."""
        count = self._decode(self._state, payload, len(payload), self._address, LONGEST, 0) if payload else -1
        if count <= 0:
            self.damaged += 1
            return self.conceal(duration or 960)
        return self._pcm[:count].copy()

    def conceal(self, count: int) -> NDArray[np.float32]:
        """`count` samples (at most 120 ms) that go on where the last packet ended."""
        return self._fill(None, 0, count, 0)

    def recover(self, payload: bytes, count: int) -> NDArray[np.float32] | None:
        """The `count` samples before packet `payload` from its FEC, what it lacks concealed; None if it has none."""
        return self._fill(payload, len(payload), count, 1) if has_fec(payload) else None

    def _fill(self, payload: bytes | None, size: int, count: int, fec: int) -> NDArray[np.float32]:
        frames = min(LONGEST, -(-count // STEP) * STEP)
        made = self._decode(self._state, payload, size, self._address, frames, fec)
        if made < count:
            return np.zeros((count, _CHANNELS), np.float32)
        if fec:
            return self._pcm[made - count : made].copy()
        if made == count:
            return self._pcm[:count].copy()
        # The decoder goes on behind all that it made: what is given out has to begin and to end with it.
        weight = np.linspace(0, 1, count, dtype=np.float32)[:, None]
        return self._pcm[:count] * (1 - weight) + self._pcm[made - count : made] * weight
