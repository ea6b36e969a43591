from __future__ import annotations

import itertools

import numpy as np
import pytest

from pyegress.codecs import Codec
from pyegress.errors import EgressError
from pyegress.media.audio_encoder import AudioEncoder
from pyegress.plan.encodings import AudioCodec
from tests.media.encoding import audio, encode_sound, sound

pytestmark = pytest.mark.media

ALL = [
    audio(AudioCodec.AAC),
    audio(AudioCodec.AAC, 48_000),
    audio(AudioCodec.AAC, 96_000),
    audio(AudioCodec.OPUS),
    audio(AudioCodec.MP3),
    audio(AudioCodec.MP3, 48_000),
    audio(AudioCodec.MP3, 22_050, 64),
    audio(AudioCodec.FLAC),
    audio(AudioCodec.FLAC, 44_100),
    audio(AudioCodec.PCM),
    audio(AudioCodec.PCM, 16_000),
]


@pytest.mark.parametrize("encoding", ALL, ids=lambda e: f"{e.codec.name}-{e.sample_rate}")
@pytest.mark.parametrize("block", [480, 1234])
def test_packets_are_consecutive_and_end_with_the_sound(encoding: object, block: int) -> None:
    encoder = AudioEncoder(encoding)  # type: ignore[arg-type]
    frames = encode_sound(encoder, sound(1.0), block)
    assert {frame.codec for frame in frames} == {encoder.codec}
    assert frames[0].timestamp == -encoder.priming
    for frame, following in itertools.pairwise(frames):
        assert following.timestamp == frame.timestamp + frame.duration
    end = frames[-1].timestamp + frames[-1].duration
    assert abs(end - encoder.rate) <= 1
    assert all(frame.payload for frame in frames)
    assert encoder.flush() == []


def test_priming_is_known_before_the_first_packet() -> None:
    assert AudioEncoder(audio(AudioCodec.AAC)).priming == 1024
    assert AudioEncoder(audio(AudioCodec.OPUS)).priming == 312
    assert AudioEncoder(audio(AudioCodec.MP3)).priming == 1105
    assert AudioEncoder(audio(AudioCodec.FLAC)).priming == 0
    assert AudioEncoder(audio(AudioCodec.PCM)).priming == 0


def test_pcm_is_the_samples_and_too_loud_ones_are_clipped() -> None:
    encoder = AudioEncoder(audio(AudioCodec.PCM, 48_000))
    block = np.array([[0.5, -0.5], [2.0, -2.0], [0.0, 0.25]], np.float32)
    payload = b"".join(frame.payload for frame in [*encoder.encode(block), *encoder.flush()])
    assert np.frombuffer(payload, "<i2").tolist() == [16384, -16384, 32767, -32768, 0, 8192]


@pytest.mark.parametrize("codec", [AudioCodec.AAC, AudioCodec.OPUS, AudioCodec.MP3], ids=lambda c: c.name)
def test_bit_rate_of_busy_sound(codec: AudioCodec) -> None:
    encoder = AudioEncoder(audio(codec))
    noise = np.random.default_rng(1).normal(0, 0.2, (4 * 48_000, 2)).astype(np.float32)
    frames = encode_sound(encoder, noise, 4800)
    assert sum(len(frame.payload) for frame in frames) * 8 / 4 == pytest.approx(128_000, rel=0.15)


def test_silence_only_and_no_sound_at_all() -> None:
    encoder = AudioEncoder(audio(AudioCodec.AAC))
    assert encoder.flush() == []
    assert encoder.encode(np.zeros((0, 2), np.float32)) == []
    encoder = AudioEncoder(audio(AudioCodec.OPUS))
    frames = encode_sound(encoder, np.zeros((1, 2), np.float32))
    assert [(frame.timestamp, frame.duration) for frame in frames] == [(-312, 313)]
    assert frames[0].codec is Codec.OPUS


def test_a_bit_rate_that_the_encoder_refuses_is_said() -> None:
    with pytest.raises(EgressError, match="MP3 encoder refuses 128 kbit/s at 12345 Hz") as caught:
        AudioEncoder(audio(AudioCodec.MP3, 12_345))
    assert caught.value.field == "audio_bitrate"
