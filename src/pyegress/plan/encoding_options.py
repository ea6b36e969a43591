"""The encoding block of a request, `preset` or `advanced`, checked and as a wish."""

from __future__ import annotations

import math

from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.plan.encodings import (
    DEPTHS,
    MAX_DIMENSION,
    MAX_FRAMERATE,
    MIN_DIMENSION,
    PASSTHROUGH,
    PRESETS,
    AudioCodec,
    AudioEncoding,
    EncodingWish,
    H264Profile,
    VideoCodec,
)
from pyegress.plan.refusals import invalid_field

#: `AudioCodec` of the protocol. Other numbers leave the codec to the container.
AUDIO_CODECS = {
    models.AudioCodec.OPUS: AudioCodec.OPUS,
    models.AudioCodec.AAC: AudioCodec.AAC,
    models.AudioCodec.AC_MP3: AudioCodec.MP3,
}
#: `VideoCodec` of the protocol with the profile that it means. Other numbers leave the codec to the container.
VIDEO_CODECS: dict[int, tuple[VideoCodec, H264Profile | None]] = {
    models.VideoCodec.H264_BASELINE: (VideoCodec.H264, H264Profile.BASELINE),
    models.VideoCodec.H264_MAIN: (VideoCodec.H264, H264Profile.MAIN),
    models.VideoCodec.H264_HIGH: (VideoCodec.H264, H264Profile.HIGH),
    models.VideoCodec.VP8: (VideoCodec.VP8, None),
}
_LEAVE = "Leave it out, or 0, for the default"


def wish_of_preset(preset: int) -> EncodingWish:
    """What `EncodingOptionsPreset` number `preset` asks for; nothing for PASSTHROUGH."""
    if preset == PASSTHROUGH:
        return EncodingWish()
    known = PRESETS.get(preset)
    if known is None:
        names = ", ".join(pb.EncodingOptionsPreset.keys())
        raise invalid_field("preset", f"There is no encoding preset with the number {preset}", f"Use one of {names}")
    return EncodingWish(
        width=known.width, height=known.height, framerate=known.framerate, video_bitrate=known.video_bitrate
    )


def wish_of_options(options: pb.EncodingOptions) -> EncodingWish:
    """What an `advanced` block asks for. 0 is what it does not say; `check_wish` finds what cannot be."""
    codec, profile = VIDEO_CODECS.get(options.video_codec, (None, None))
    return EncodingWish(
        width=options.width or None,
        height=options.height or None,
        depth=options.depth or None,
        framerate=options.framerate or None,
        video_codec=codec,
        profile=profile,
        video_bitrate=options.video_bitrate or None,
        key_frame_interval=options.key_frame_interval or None,
        audio_codec=AUDIO_CODECS.get(options.audio_codec),
        audio_bitrate=options.audio_bitrate or None,
        audio_frequency=options.audio_frequency or None,
    )


def check_wish(wish: EncodingWish) -> None:
    """Raise InvalidRequest for sizes and numbers that nothing can be encoded with."""
    for name, value in (("width", wish.width), ("height", wish.height)):
        if value is None:
            continue
        if value < MIN_DIMENSION or value > MAX_DIMENSION or value % 2:
            raise invalid_field(
                name,
                f"Pictures cannot be encoded with a {name} of {value}",
                f"Give an even number of pixels from {MIN_DIMENSION} to {MAX_DIMENSION}. {_LEAVE}",
            )
    if wish.depth is not None and wish.depth not in DEPTHS:
        depths = ", ".join(map(str, DEPTHS))
        raise invalid_field("depth", f"There are no screens with {wish.depth} bits a pixel", f"Use one of {depths}")
    if wish.framerate is not None and not 0 < wish.framerate <= MAX_FRAMERATE:
        raise invalid_field(
            "framerate",
            f"Pictures cannot be encoded at {wish.framerate} a second",
            f"Give 1 to {MAX_FRAMERATE}. {_LEAVE}",
        )
    for name in ("video_bitrate", "audio_bitrate", "audio_frequency", "key_frame_interval"):
        number = getattr(wish, name)
        if number is not None and not (0 < number < math.inf):
            raise invalid_field(name, f"The {name.replace('_', ' ')} cannot be {number}", f"Give more than 0. {_LEAVE}")


def check_sample_rate(encoding: AudioEncoding) -> None:
    """Raise InvalidRequest when the codec has no such rate."""
    rates = encoding.codec.sample_rates
    if rates and encoding.sample_rate not in rates:
        raise invalid_field(
            "audio_frequency",
            f"{encoding.codec.name} has no sample rate of {encoding.sample_rate} Hz",
            f"Use one of {', '.join(map(str, rates))}",
        )
