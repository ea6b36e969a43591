from __future__ import annotations

import pytest
from livekit.protocol import egress as pb
from livekit.protocol import models

from pyegress.errors import InvalidRequest
from pyegress.plan.encoding_options import (
    AUDIO_CODECS,
    VIDEO_CODECS,
    check_sample_rate,
    check_wish,
    wish_of_options,
    wish_of_preset,
)
from pyegress.plan.encodings import (
    PASSTHROUGH,
    PRESETS,
    AudioCodec,
    AudioEncoding,
    EncodingWish,
    audio_encoding,
)

pytestmark = pytest.mark.unit


def test_the_tables_cover_the_protocol() -> None:
    assert {*PRESETS, PASSTHROUGH} == set(pb.EncodingOptionsPreset.values())
    assert set(AUDIO_CODECS) == set(models.AudioCodec.values()) - {models.AudioCodec.DEFAULT_AC}
    assert set(VIDEO_CODECS) == set(models.VideoCodec.values()) - {models.VideoCodec.DEFAULT_VC}


def test_presets_are_named_after_what_they_are() -> None:
    for name, number in pb.EncodingOptionsPreset.items():
        if number == PASSTHROUGH:
            assert wish_of_preset(number) == EncodingWish()
            continue
        preset = PRESETS[number]
        size = min(preset.width, preset.height)
        assert (f"{size}P" in name, name.endswith(f"_{preset.framerate}")) == (True, True)
        assert name.startswith("PORTRAIT") is (preset.height > preset.width)


def test_nothing_asked_is_nothing_wished() -> None:
    assert wish_of_options(pb.EncodingOptions()) == EncodingWish()
    check_wish(EncodingWish())


def test_wishes_go_over_each_other_field_by_field() -> None:
    over = EncodingWish(width=1, audio_codec=AudioCodec.AAC).over(EncodingWish(width=2, height=3))
    assert over == EncodingWish(width=1, height=3, audio_codec=AudioCodec.AAC)


@pytest.mark.parametrize(
    ("size", "fits"), [(16, True), (8192, True), (15, False), (17, False), (0, False), (8194, False)]
)
def test_sizes(size: int, fits: bool) -> None:
    for wish in (EncodingWish(width=size), EncodingWish(height=size)):
        if fits:
            check_wish(wish)
        else:
            with pytest.raises(InvalidRequest, match="cannot be encoded"):
                check_wish(wish)


@pytest.mark.parametrize(
    ("codec", "rate", "fits"),
    [
        (AudioCodec.AAC, 96_000, True),
        (AudioCodec.MP3, 96_000, False),
        (AudioCodec.MP3, 22_050, True),
        (AudioCodec.OPUS, 44_100, True),
        (AudioCodec.FLAC, 44_100, True),
        (AudioCodec.AAC, 44_099, False),
    ],
)
def test_sample_rates(codec: AudioCodec, rate: int, fits: bool) -> None:
    encoding = audio_encoding(codec, EncodingWish(audio_frequency=rate), live=False)
    if fits:
        check_sample_rate(encoding)
        return
    with pytest.raises(InvalidRequest) as caught:
        check_sample_rate(encoding)
    assert caught.value.field == "audio_frequency"
    assert "44100" in caught.value.remedy


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        (AudioCodec.AAC, AudioEncoding(AudioCodec.AAC, 128, 44_100)),
        (AudioCodec.MP3, AudioEncoding(AudioCodec.MP3, 128, 44_100)),
        (AudioCodec.OPUS, AudioEncoding(AudioCodec.OPUS, 128, 48_000)),
        (AudioCodec.PCM, AudioEncoding(AudioCodec.PCM, 0, 48_000)),
        (AudioCodec.FLAC, AudioEncoding(AudioCodec.FLAC, 0, 48_000)),
    ],
)
def test_audio_defaults(codec: AudioCodec, expected: AudioEncoding) -> None:
    assert audio_encoding(codec, EncodingWish(), live=False) == expected
    assert expected.channels == 2
