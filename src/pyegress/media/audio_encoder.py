"""Sound into packets: AAC, Opus, MP3, FLAC or 16-bit PCM, sample-exact from the first to the last sample.

A packet's timestamp is where its sound lies in the input, so encoders that prime their decoder with samples of their
own (AAC 1024, Opus 312, MP3 1105) begin before 0 by that much; containers cut it off.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import av
import numpy as np
from numpy.typing import NDArray

from pyegress.clock import Monotonic
from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError
from pyegress.plan.encodings import AudioCodec, AudioEncoding
from pyegress.rtp.frame import EncodedFrame

#: What comes in.
INPUT_RATE = 48_000
#: Encoder, sample format and options. PCM is what the resampler gives.
_ENCODERS: dict[AudioCodec, tuple[str, str, dict[str, str]]] = {
    AudioCodec.AAC: ("aac", "fltp", {}),
    AudioCodec.OPUS: ("libopus", "flt", {"vbr": "constrained", "frame_duration": "20", "application": "audio"}),
    AudioCodec.MP3: ("libmp3lame", "fltp", {}),
    AudioCodec.FLAC: ("flac", "s16", {"compression_level": "5"}),
}
#: RFC 6716 section 2.1.1: more makes no sense to Opus, and its encoder refuses it.
_MAX_OPUS_BITRATE = 510_000


class AudioEncoder:
    """Encodes one continuous sound. Blocks of any length come one behind the other, sample 0 is time 0."""

    def __init__(self, encoding: AudioEncoding) -> None:
        """Open the encoder. Raises EgressError when it refuses the encoding."""
        self.encoding = encoding
        #: Hz, and ticks per second of the packets.
        self.rate = encoding.sample_rate
        self.bitrate = encoding.bitrate * 1000
        self.codec: Codec = encoding.codec.codec
        #: Samples that decoders give before the sound begins.
        self.priming = 0
        self._context: av.AudioCodecContext | None = None
        if encoding.codec is AudioCodec.PCM:
            sample_format, frame_size = "s16", None
        else:
            _, sample_format, _ = _ENCODERS[encoding.codec]
            self._context = _open(encoding)
            self.priming = _priming(encoding)
            frame_size = self._context.frame_size or None
        # The resampler also converts the samples and cuts them into the encoder's frames.
        self._resampler = av.AudioResampler(sample_format, "stereo", self.rate, frame_size)
        self._taken = 0
        self._given = 0
        self._fed = 0
        self._flushed = False

    @property
    def config(self) -> bytes:
        """What decoders need beside the packets: AudioSpecificConfig of AAC, STREAMINFO of FLAC; else empty."""
        if self._context is None or self.codec not in (Codec.AAC, Codec.FLAC):
            return b""
        return bytes(self._context.extradata or b"")

    def encode(self, block: NDArray[np.float32]) -> list[EncodedFrame]:
        """Take the next samples, float32 of shape (n, 2) in -1..1 at 48 kHz; give the packets that are ready."""
        if not len(block):
            return []
        interleaved = np.ascontiguousarray(block, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, "flt", "stereo")
        frame.sample_rate = INPUT_RATE
        frame.pts = self._taken
        self._taken += len(block)
        return self._feed(self._resampler.resample(frame))

    def flush(self) -> list[EncodedFrame]:
        """Give the rest. The last packet's `duration` ends with the input's last sample. Nothing can follow."""
        if self._flushed or not self._taken:
            return []
        self._flushed = True
        frames = self._feed(self._resampler.resample(None))
        if self._context is not None:
            frames += self._packets(self._context.encode(None))
        # Encoders fill their last frames up; what lies behind the input's end is nobody's sound.
        kept: list[EncodedFrame] = []
        for frame in frames:
            duration = min(frame.duration, self._fed - frame.timestamp)
            if duration > 0:
                kept.append(_frame(frame.codec, frame.payload, frame.timestamp, duration))
        return kept

    def _feed(self, resampled: Iterable[av.AudioFrame]) -> list[EncodedFrame]:
        frames: list[EncodedFrame] = []
        for sound in resampled:
            sound.pts = self._fed
            self._fed += sound.samples
            if self._context is None:
                payload = sound.to_ndarray().tobytes()
                frames.append(_frame(self.codec, payload, self._fed - sound.samples, sound.samples))
            else:
                frames += self._packets(self._context.encode(sound))
        return frames

    def _packets(self, packets: Iterable[av.Packet[av.AudioStream]]) -> list[EncodedFrame]:
        assert self._context is not None
        length = self._context.frame_size
        frames: list[EncodedFrame] = []
        for packet in packets:
            if packet.size:  # FLAC ends with a packet that only repeats STREAMINFO
                at = self._given - self.priming
                frames.append(_frame(self.codec, bytes(packet), at, length))
                self._given += length
        return frames


def _open(encoding: AudioEncoding) -> av.AudioCodecContext:
    name, sample_format, options = _ENCODERS[encoding.codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate = encoding.sample_rate
    context.layout = "stereo"
    context.format = sample_format
    bitrate = encoding.bitrate * 1000
    if bitrate:
        context.bit_rate = min(bitrate, _MAX_OPUS_BITRATE) if encoding.codec is AudioCodec.OPUS else bitrate
    context.options = options
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise EgressError(
            f"The {encoding.codec.codec.label} encoder refuses {encoding.bitrate} kbit/s at {encoding.sample_rate} Hz: "
            f"{error}",
            remedy="Choose another audio_bitrate or audio_frequency",
            field="audio_bitrate",
            code=Code.INVALID_ARGUMENT,
        ) from error
    return context


@lru_cache(maxsize=16)
def _priming(encoding: AudioEncoding) -> int:
    """What this encoder puts in front: an encoder tells only with its first packet, files want to know before."""
    context = _open(encoding)
    planar = context.format.is_planar
    shape = (2, context.frame_size) if planar else (1, 2 * context.frame_size)
    dtype = np.int16 if context.format.name.startswith("s16") else np.float32
    for number in range(8):
        silence = av.AudioFrame.from_ndarray(np.zeros(shape, dtype), context.format.name, "stereo")
        silence.sample_rate = encoding.sample_rate
        silence.pts = number * context.frame_size
        for packet in context.encode(silence):
            return max(0, -(packet.pts or 0))
    raise AssertionError(f"{encoding.codec.codec.label} gives no packet")


def _frame(codec: Codec, payload: bytes, at: int, duration: int) -> EncodedFrame:
    return EncodedFrame(codec, payload, at, Monotonic(0.0), duration=duration)
