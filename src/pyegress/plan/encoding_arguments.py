"""How a recording in the foreground is encoded: options by name, checked before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from pyegress.errors import InvalidRequest
from pyegress.plan.encodings import AudioCodec, EncodingWish, H264Profile, Hardware, Quality, VideoCodec

T = TypeVar("T")

#: `EncodingOptionsPreset` by name.
PRESET_NAMES = {
    "H264_720P_30": 0,
    "H264_720P_60": 1,
    "H264_1080P_30": 2,
    "H264_1080P_60": 3,
    "PORTRAIT_H264_720P_30": 4,
    "PORTRAIT_H264_720P_60": 5,
    "PORTRAIT_H264_1080P_30": 6,
    "PORTRAIT_H264_1080P_60": 7,
    "PASSTHROUGH": 8,
}
COPY = "PASSTHROUGH"
VIDEO_CODECS: dict[str, tuple[VideoCodec, H264Profile | None]] = {
    "h264": (VideoCodec.H264, None),
    "h264-baseline": (VideoCodec.H264, H264Profile.BASELINE),
    "h264-main": (VideoCodec.H264, H264Profile.MAIN),
    "h264-high": (VideoCodec.H264, H264Profile.HIGH),
    "vp8": (VideoCodec.VP8, None),
    "vp9": (VideoCodec.VP9, None),
    "av1": (VideoCodec.AV1, None),
}
AUDIO_CODECS = {
    "aac": AudioCodec.AAC,
    "opus": AudioCodec.OPUS,
    "mp3": AudioCodec.MP3,
    "pcm": AudioCodec.PCM,
    "flac": AudioCodec.FLAC,
}
QUALITIES = {quality.value: quality for quality in Quality}
HARDWARE = {hardware.value: hardware for hardware in Hardware}


@dataclass(frozen=True, slots=True)
class EncodingArguments:
    """What is asked of the encoders; 0 and "" leave it to the preset, and that to H264_720P_30.

    Pixels, frames per second, kbit/s, seconds. Names are those of the protocol, in any case. What is named beside a
    preset goes before it.
    """

    preset: str = ""
    width: int = 0
    height: int = 0
    fps: int = 0
    video_bitrate: int = 0
    audio_bitrate: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    key_frame_interval: float = 0.0
    quality: str = ""
    hardware: str = ""

    def __post_init__(self) -> None:
        _ = self.preset_number, self.wish

    @property
    def copies(self) -> bool:
        """Whether the preset asks for copies of the packets."""
        return self.preset_number == PRESET_NAMES[COPY]

    @property
    def preset_number(self) -> int | None:
        """`EncodingOptionsPreset`; None when none was named."""
        return named("preset", self.preset, PRESET_NAMES, self.preset.upper()) if self.preset else None

    @property
    def wish(self) -> EncodingWish:
        """What goes before the preset. Raises InvalidRequest for a name that does not exist."""
        codec, profile = named("video_codec", self.video_codec, VIDEO_CODECS) or (None, None)
        return EncodingWish(
            width=self.width or None,
            height=self.height or None,
            framerate=self.fps or None,
            video_codec=codec,
            profile=profile,
            video_bitrate=self.video_bitrate or None,
            key_frame_interval=self.key_frame_interval or None,
            audio_codec=named("audio_codec", self.audio_codec, AUDIO_CODECS),
            audio_bitrate=self.audio_bitrate or None,
            quality=named("quality", self.quality, QUALITIES),
            hardware=named("hardware", self.hardware, HARDWARE),
        )

    def require_none_for_copies(self) -> None:
        """Raises InvalidRequest when something else is asked of an encoder that copies do without."""
        self._refuse(
            [field.name for field in fields(self) if field.name != "preset"],
            "makes no sense for copies of the packets: nothing is encoded",
            "Leave it out, or let the recording be encoded",
        )

    def require_none_of(self, kind: str) -> None:
        """Raises InvalidRequest when something is asked of the encoder of a kind (audio, video) not recorded."""
        audio = ["audio_bitrate", "audio_codec"]
        # A preset says nothing but what pictures are like.
        names = audio if kind == "audio" else [field.name for field in fields(self) if field.name not in audio]
        self._refuse(names, f"makes no sense: no {kind} is recorded", f"Leave it out, or record {kind} too")

    def _refuse(self, names: list[str], why: str, remedy: str) -> None:
        for name in names:
            if getattr(self, name):
                raise InvalidRequest(f"The option {name} {why}", field=name, remedy=remedy)


def named(field: str, name: str, table: Mapping[str, T], key: str | None = None) -> T | None:
    """What `table` has for the value of an option; None for none. Raises InvalidRequest for a name that it lacks.

    Words are told apart by `-` or `_` in any case, unless `key` is what is looked up.
    """
    if not name:
        return None
    key = name.lower().replace("_", "-") if key is None else key
    if key not in table:
        raise InvalidRequest(
            f"There is no {field.replace('_', ' ')} {name!r}", field=field, remedy=f"Use one of {', '.join(table)}"
        )
    return table[key]
