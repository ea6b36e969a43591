"""What is asked of the encoders: every option, every name, and what makes no sense."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from livekit.protocol import egress as pb

from pyegress.errors import InvalidRequest
from pyegress.plan.encoding_arguments import (
    AUDIO_CODECS,
    HARDWARE,
    PRESET_NAMES,
    QUALITIES,
    VIDEO_CODECS,
    EncodingArguments,
)
from pyegress.plan.encodings import AudioCodec, EncodingWish, H264Profile, Hardware, Quality, VideoCodec

pytestmark = pytest.mark.unit

#: A value for each option.
VALUES: dict[str, Any] = {
    "preset": "H264_1080P_30",
    "width": 640,
    "height": 360,
    "fps": 25,
    "video_bitrate": 800,
    "audio_bitrate": 96,
    "video_codec": "vp9",
    "audio_codec": "opus",
    "key_frame_interval": 2.0,
    "quality": "high",
    "hardware": "auto",
}
OF_AUDIO = ("audio_bitrate", "audio_codec")


def test_nothing_asked_leaves_all_to_the_preset() -> None:
    asked = EncodingArguments()
    assert asked.wish == EncodingWish()
    assert asked.preset_number is None
    assert not asked.copies
    asked.require_none_for_copies()
    asked.require_none_of("audio")
    asked.require_none_of("video")


def test_everything_asked() -> None:
    assert EncodingArguments(**VALUES).wish == EncodingWish(
        width=640,
        height=360,
        framerate=25,
        video_codec=VideoCodec.VP9,
        video_bitrate=800,
        key_frame_interval=2.0,
        audio_codec=AudioCodec.OPUS,
        audio_bitrate=96,
        quality=Quality.HIGH,
        hardware=Hardware.AUTO,
    )


def test_presets_are_those_of_the_protocol() -> None:
    assert dict(pb.EncodingOptionsPreset.items()) == PRESET_NAMES
    for name, number in PRESET_NAMES.items():
        assert EncodingArguments(preset=name.lower()).preset_number == number


@pytest.mark.parametrize(
    ("name", "codec", "profile"),
    [
        ("h264", VideoCodec.H264, None),
        ("H264-Baseline", VideoCodec.H264, H264Profile.BASELINE),
        ("h264_main", VideoCodec.H264, H264Profile.MAIN),
        ("H264_HIGH", VideoCodec.H264, H264Profile.HIGH),
        ("VP8", VideoCodec.VP8, None),
        ("av1", VideoCodec.AV1, None),
    ],
)
def test_video_codecs_in_any_spelling(name: str, codec: VideoCodec, profile: H264Profile | None) -> None:
    wish = EncodingArguments(video_codec=name).wish
    assert (wish.video_codec, wish.profile) == (codec, profile)


def test_every_codec_and_quality_has_a_name() -> None:
    assert {codec for codec, _ in VIDEO_CODECS.values()} == set(VideoCodec)
    assert set(AUDIO_CODECS.values()) == set(AudioCodec)
    assert set(QUALITIES.values()) == set(Quality)
    assert set(HARDWARE.values()) == set(Hardware)


@pytest.mark.parametrize(
    ("option", "value", "message", "remedy"),
    [
        ("preset", "4k", "There is no preset '4k'", "PORTRAIT_H264_1080P_60"),
        ("video_codec", "H265", "There is no video codec 'H265'", "h264-main"),
        ("audio_codec", "speex", "There is no audio codec 'speex'", "aac, opus, mp3, pcm, flac"),
        ("hardware", "amd", "There is no hardware 'amd'", "none, nvenc, auto"),
        ("quality", "best", "There is no quality 'best'", "economy, standard, high"),
    ],
)
def test_names_that_do_not_exist(option: str, value: str, message: str, remedy: str) -> None:
    arguments: dict[str, Any] = {option: value}
    with pytest.raises(InvalidRequest) as raised:
        EncodingArguments(**arguments)
    assert raised.value.message == message
    assert raised.value.field == option
    assert remedy in raised.value.remedy


def test_the_preset_for_copies() -> None:
    assert EncodingArguments(preset="passthrough").copies
    EncodingArguments(preset="Passthrough").require_none_for_copies()


@pytest.mark.parametrize("option", [option for option in VALUES if option != "preset"])
def test_copies_take_no_encoder_options(option: str) -> None:
    with pytest.raises(InvalidRequest, match=f"The option {option} makes no sense for copies") as raised:
        EncodingArguments(**{option: VALUES[option]}).require_none_for_copies()
    assert raised.value.field == option
    assert raised.value.remedy


@pytest.mark.parametrize("option", VALUES)
def test_options_of_a_kind_that_is_not_recorded(option: str) -> None:
    asked = EncodingArguments(**{option: VALUES[option]})
    kind, other = ("audio", "video") if option in OF_AUDIO else ("video", "audio")
    asked.require_none_of(other)
    with pytest.raises(InvalidRequest, match=f"The option {option} makes no sense: no {kind} is recorded") as raised:
        asked.require_none_of(kind)
    assert raised.value.field == option


def test_no_option_is_forgotten_here() -> None:
    assert {field.name for field in fields(EncodingArguments)} == set(VALUES)
