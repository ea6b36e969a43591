"""What is encoded and how: codecs that can be encoded, presets, defaults and limits. One table for each fact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from pyegress.codecs import Codec


class AudioCodec(Enum):
    """What sound is encoded to. `value` is the name in error texts."""

    AAC = "audio/aac"
    OPUS = "audio/opus"
    MP3 = "audio/mpeg"
    PCM = "audio/x-raw"
    FLAC = "audio/flac"

    @property
    def sample_rates(self) -> tuple[int, ...]:
        """Rates in Hz that it can be asked for; empty when the rate is always `default_sample_rate`."""
        return _SAMPLE_RATES.get(self, ())

    @property
    def default_sample_rate(self) -> int:
        """Hz when the request names none."""
        return 44_100 if self in (AudioCodec.AAC, AudioCodec.MP3) else 48_000

    @property
    def codec(self) -> Codec:
        """What a stream of it is in a file."""
        return Codec[self.name]

    @property
    def lossless(self) -> bool:
        """Whether a bit rate means nothing to it."""
        return self in (AudioCodec.PCM, AudioCodec.FLAC)


class VideoCodec(Enum):
    """What pictures are encoded to. `value` is the name in error texts."""

    H264 = "video/h264"
    VP8 = "video/vp8"
    VP9 = "video/vp9"
    AV1 = "video/av1"

    @property
    def codec(self) -> Codec:
        """What a stream of it is in a file."""
        return Codec[self.name]


class Quality(Enum):
    """What an encoder spends on its picture at the same bit rate. `docs/encoding.md` has the figures."""

    #: Least CPU; visibly softer when much moves.
    ECONOMY = "economy"
    #: The picture of x264's `veryfast` at a good part of its cost.
    STANDARD = "standard"
    #: A better picture for about half as much again.
    HIGH = "high"


class Hardware(Enum):
    """What encodes H.264. Everything else is encoded by the processor."""

    NONE = "none"
    #: An NVIDIA card, or nothing.
    NVENC = "nvenc"
    #: An NVIDIA card where there is one that takes the encoding, else the processor.
    AUTO = "auto"


class H264Profile(Enum):
    """`profile_idc` by its usual name."""

    BASELINE = "baseline"
    MAIN = "main"
    HIGH = "high"


_MPEG_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
#: AAC: ISO/IEC 14496-3 table 1.18; MP3: ISO/IEC 11172-3, 13818-3 and the 2.5 extension.
_SAMPLE_RATES: dict[AudioCodec, tuple[int, ...]] = {
    AudioCodec.AAC: (*_MPEG_RATES, 64_000, 88_200, 96_000),
    AudioCodec.MP3: _MPEG_RATES,
    AudioCodec.PCM: (*_MPEG_RATES, 88_200, 96_000),
    AudioCodec.FLAC: (*_MPEG_RATES, 88_200, 96_000),
}


@dataclass(frozen=True, slots=True)
class Preset:
    """One line of `EncodingOptionsPreset`; kbit/s, pixels, frames per second."""

    width: int
    height: int
    framerate: int
    video_bitrate: int


#: `EncodingOptionsPreset` by number. All are H.264 main with 128 kbit/s of sound, unless the container wants others.
PRESETS = {
    0: Preset(1280, 720, 30, 3_000),
    1: Preset(1280, 720, 60, 4_500),
    2: Preset(1920, 1080, 30, 4_500),
    3: Preset(1920, 1080, 60, 6_000),
    4: Preset(720, 1280, 30, 3_000),
    5: Preset(720, 1280, 60, 4_500),
    6: Preset(1080, 1920, 30, 4_500),
    7: Preset(1080, 1920, 60, 6_000),
}
#: `EncodingOptionsPreset.PASSTHROUGH`: nothing is encoded.
PASSTHROUGH = 8

DEFAULT_PRESET = PRESETS[0]
DEFAULT_PROFILE = H264Profile.MAIN
DEFAULT_DEPTH = 24
DEPTHS = (8, 16, 24)
DEFAULT_AUDIO_BITRATE = 128
CHANNELS = 2
#: Seconds between key frames of RTMP and SRT streams when the request names none.
STREAM_KEY_FRAME_INTERVAL = 4.0
#: Seconds of the bit rate that the rate control may borrow: a segment where there are some, but not more than ...
RATE_BUFFER, MAX_RATE_BUFFER = 2.0, 10.0

MIN_DIMENSION = 16
#: Encoders refuse far larger pictures only after they took the memory for them.
MAX_DIMENSION = 8_192
MAX_FRAMERATE = 240


@dataclass(frozen=True, slots=True)
class EncodingWish:
    """What a request, a preset or an option says; None for what it leaves to the defaults.

    Bit rates in kbit/s, `audio_frequency` in Hz, `key_frame_interval` in seconds.
    """

    width: int | None = None
    height: int | None = None
    depth: int | None = None
    framerate: int | None = None
    video_codec: VideoCodec | None = None
    profile: H264Profile | None = None
    video_bitrate: int | None = None
    key_frame_interval: float | None = None
    audio_codec: AudioCodec | None = None
    audio_bitrate: int | None = None
    audio_frequency: int | None = None
    quality: Quality | None = None
    hardware: Hardware | None = None
    #: Of the video encoder.
    threads: int | None = None

    def over(self, other: EncodingWish) -> EncodingWish:
        """This wish where it says something, `other` elsewhere."""

        def first(name: str) -> object:
            mine = getattr(self, name)
            return getattr(other, name) if mine is None else mine

        return EncodingWish(**{name: first(name) for name in EncodingWish.__slots__})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class VideoEncoding:
    """How pictures are encoded: pixels, frames per second, kbit/s, seconds.

    Key frames are `key_frame_interval` apart, counted from second 0 of the output, which the bounds of segments are
    multiples of; 0 leaves the distance to the encoder. `scene_cuts` says whether it may put further ones.
    `constant_bitrate` pads the stream to its rate, as RTMP services want. `buffer` is how many seconds of the bit rate
    the rate control may borrow; `threads` 0 leaves their number to the encoder.
    """

    codec: VideoCodec
    width: int
    height: int
    framerate: int
    bitrate: int
    profile: H264Profile | None
    depth: int = DEFAULT_DEPTH
    key_frame_interval: float = 0.0
    scene_cuts: bool = True
    constant_bitrate: bool = False
    quality: Quality = Quality.STANDARD
    buffer: float = RATE_BUFFER
    hardware: Hardware = Hardware.NONE
    threads: int = 0


@dataclass(frozen=True, slots=True)
class AudioEncoding:
    """How sound is encoded: kbit/s (0 for lossless codecs), Hz; always two channels."""

    codec: AudioCodec
    bitrate: int
    sample_rate: int
    channels: int = CHANNELS


def video_encoding(
    codec: VideoCodec, wish: EncodingWish, *, rtmp_or_srt: bool, rtmp: bool, segments: float = 0.0
) -> VideoEncoding:
    """The encoding of `wish` with every default filled in. `segments` is how long they are, 0 if there are none."""
    interval = wish.key_frame_interval or 0.0
    if segments:
        # As many key frames in each segment as it takes to have them no further apart than asked.
        interval = segments / math.ceil(segments / interval) if interval else segments
    elif rtmp_or_srt and not interval:
        interval = STREAM_KEY_FRAME_INTERVAL
    return VideoEncoding(
        codec=codec,
        width=wish.width or DEFAULT_PRESET.width,
        height=wish.height or DEFAULT_PRESET.height,
        framerate=wish.framerate or DEFAULT_PRESET.framerate,
        bitrate=wish.video_bitrate or DEFAULT_PRESET.video_bitrate,
        profile=(wish.profile or DEFAULT_PROFILE) if codec is VideoCodec.H264 else None,
        depth=wish.depth or DEFAULT_DEPTH,
        key_frame_interval=interval,
        scene_cuts=not interval,
        constant_bitrate=rtmp,
        quality=wish.quality or Quality.STANDARD,
        buffer=min(segments, MAX_RATE_BUFFER) or RATE_BUFFER,
        hardware=(wish.hardware or Hardware.NONE) if codec is VideoCodec.H264 else Hardware.NONE,
        threads=wish.threads or 0,
    )


def audio_encoding(codec: AudioCodec, wish: EncodingWish, *, live: bool) -> AudioEncoding:
    """The encoding of `wish` with every default filled in. Raw sound for a `live` socket always has the same rate."""
    asked = 0 if live and codec is AudioCodec.PCM else wish.audio_frequency or 0
    return AudioEncoding(
        codec=codec,
        bitrate=0 if codec.lossless else wish.audio_bitrate or DEFAULT_AUDIO_BITRATE,
        sample_rate=asked if asked and codec.sample_rates else codec.default_sample_rate,
    )
