"""Encoded audio packets to float32 (n, 2) at 48 kHz, with what is needed when packets are lost or damaged."""

from __future__ import annotations

from typing import Protocol

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from pyegress.codecs import Codec
from pyegress.media.concealment import extend
from pyegress.media.g711 import G711Decoder
from pyegress.media.libopus import LibopusDecoder, library

_HISTORY = 1920


class AudioDecoder(Protocol):
    """One stream's decoder. Packets go in in order; all counts are samples of 48 kHz."""

    #: Packets that could not be decoded and were concealed.
    damaged: int

    @property
    def delay(self) -> int:
        """By how much sound comes out later than it goes in."""

    def decode(self, payload: bytes, duration: int) -> NDArray[np.float32]:
        """The sound of a packet; concealment of `duration` samples if it is damaged. Never raises."""

    def conceal(self, count: int) -> NDArray[np.float32]:
        """`count` samples, at most 120 ms, that go on where the last packet ended."""

    def recover(self, payload: bytes, count: int) -> NDArray[np.float32] | None:
        """The `count` samples before packet `payload` out of its FEC; None when it has none."""


def audio_decoder(codec: Codec) -> AudioDecoder:
    """A new decoder for Opus, PCMU or PCMA."""
    if codec in (Codec.PCMU, Codec.PCMA):
        return G711Decoder(codec)
    if codec is Codec.OPUS:
        lib = library()
        return LibopusDecoder(lib) if lib else PlainOpusDecoder()
    raise ValueError(f"{codec.label} is not a codec of audio tracks")


class PlainOpusDecoder:
    """Opus by FFmpeg alone: no FEC, and concealment repeats the last pitch period."""

    delay = 0

    def __init__(self) -> None:
        decoder = av.CodecContext.create("opus", "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate = 48_000
        decoder.layout = "stereo"
        decoder.thread_count = 1
        self._decoder = decoder
        self._history = np.zeros((_HISTORY, 2), np.float32)
        self.damaged = 0

    def decode(self, payload: bytes, duration: int) -> NDArray[np.float32]:
        """The sound of a packet; concealment of `duration` samples if it is damaged."""
        try:
            planes = [frame.to_ndarray() for frame in self._decoder.decode(av.Packet(payload))] if payload else []
        except av.error.FFmpegError:
            planes = []
        if not planes:
            self.damaged += 1
            return self.conceal(duration or 960)
        block = np.ascontiguousarray(np.concatenate(planes, axis=1).T, np.float32)
        return self._remember(block if block.shape[1] == 2 else np.repeat(block[:, :1], 2, axis=1))

    def conceal(self, count: int) -> NDArray[np.float32]:
        """`count` samples that go on where the last packet ended."""
        return self._remember(extend(self._history, count, 48_000))

    def recover(self, payload: bytes, count: int) -> NDArray[np.float32] | None:
        """FFmpeg's decoder does not use FEC."""
        return None

    def _remember(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        self._history = np.concatenate((self._history, block))[-_HISTORY:]
        return block
