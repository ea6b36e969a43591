"""Packets of an independent sender, FFmpeg's RTP muxer, must become the encoder's frames again."""

from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from tests.rtp import packetizers
from tests.rtp.depacketizers.driver import received, units
from tests.rtp.encoders import HEIGHT, VIDEO_CODECS, WIDTH, decode, encode_audio, encode_video
from tests.rtp.packetizers import split_packet

pytestmark = pytest.mark.media


@pytest.mark.parametrize("mtu", [120, 576, 1200, 60_000])
@pytest.mark.parametrize("codec", VIDEO_CODECS, ids=lambda codec: codec.name)
def test_video_is_the_encoders_bytes(codec: Codec, mtu: int) -> None:
    depacketizer = depacketizer_for(codec)
    decodable = []
    for encoded in encode_video(codec, mtu=mtu):
        packets = [split_packet(packet) for packet in encoded.packets]
        assert [marker for _, marker, _ in packets] == [False] * (len(packets) - 1) + [True]
        frame = received(depacketizer, [payload for payload, _, _ in packets])
        assert units(codec, frame.payload) == units(codec, encoded.data)
        assert frame.keyframe == encoded.keyframe
        assert frame.size == ((WIDTH, HEIGHT) if encoded.keyframe else None)
        assert frame.duration == 0
        decodable.append(frame.payload)
    assert decode(codec, decodable) == [(WIDTH, HEIGHT)] * len(decodable)


def test_vp8_pictures_are_numbered_without_gaps() -> None:
    depacketizer = depacketizer_for(Codec.VP8)
    numbers = []
    for encoded in encode_video(Codec.VP8):
        picture = received(depacketizer, [split_packet(packet)[0] for packet in encoded.packets]).picture
        assert picture is not None
        assert picture.picture_id is not None
        assert picture.picture_id_bits == 15
        numbers.append(picture.picture_id)
    assert numbers == [(numbers[0] + index) % 0x8000 for index in range(6)]


@pytest.mark.parametrize("size", [(64, 48), (66, 34), (1918, 1078)])
@pytest.mark.parametrize("codec", [Codec.VP8, Codec.VP9, Codec.H264, Codec.H265], ids=lambda codec: codec.name)
def test_size_is_what_is_shown_not_what_is_coded(codec: Codec, size: tuple[int, int]) -> None:
    (encoded,) = encode_video(codec, frames=1, size=size)
    frame = received(depacketizer_for(codec), [split_packet(packet)[0] for packet in encoded.packets])
    assert frame.size == size


def test_vp9_layers_decode_as_one_packet() -> None:
    # Two key frames stand for the layers, so each decodes by itself.
    small, large = (encode_video(Codec.VP9, frames=1, size=size)[0].data for size in ((64, 48), (128, 96)))
    payloads = packetizers.vp9([small, large], 500, inter=False, layer_numbers=True)
    frame = received(depacketizer_for(Codec.VP9), payloads)
    assert decode(Codec.VP9, [frame.payload]) == [(64, 48), (128, 96)]


@pytest.mark.parametrize("milliseconds", ["2.5", "5", "10", "20", "40", "60"])
def test_opus_is_the_encoders_bytes(milliseconds: str) -> None:
    depacketizer = depacketizer_for(Codec.OPUS)
    frames = encode_audio(Codec.OPUS, options=milliseconds)
    for encoded in frames:
        (packet,) = encoded.packets
        frame = received(depacketizer, [split_packet(packet)[0]])
        assert frame.payload == encoded.data
        assert frame.duration == round(float(milliseconds) * 48)
        assert frame.keyframe
    assert len(frames) >= 200 / float(milliseconds)


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA], ids=lambda codec: codec.name)
def test_g711_is_the_encoders_bytes(codec: Codec) -> None:
    depacketizer = depacketizer_for(codec)
    for encoded in encode_audio(codec):
        (packet,) = encoded.packets
        frame = received(depacketizer, [split_packet(packet)[0]])
        assert (frame.payload, frame.duration) == (encoded.data, 160)
