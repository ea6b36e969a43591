"""Real streams through the decoders: whole, damaged, changing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pyegress.codecs import Codec
from pyegress.media.video_decoder import VideoDecoder, is_placeholder
from tests.media.pictures import still
from tests.media.streams import TICKS, VIDEO, demo_frame, encode_as, number_of, stream

pytestmark = pytest.mark.media

_IDS = [codec.name for codec in VIDEO]
every_codec = pytest.mark.parametrize("codec", VIDEO, ids=_IDS)
#: Whose decoders notice a damaged frame. VP8's arithmetic decoder takes any bytes.
noticing = pytest.mark.parametrize("codec", VIDEO[1:], ids=_IDS[1:])


@every_codec
def test_each_frame_gives_its_picture_at_once(codec: Codec) -> None:
    decoder = VideoDecoder(codec)
    for number, frame in enumerate(stream(codec)):
        (picture,) = decoder.decode(frame)
        assert number_of(picture) == number
        assert picture.pts == number * TICKS
        assert (picture.width, picture.height) == (160, 120)
    assert (decoder.decoded, decoder.damaged, decoder.skipped) == (30, 0, 0)


@every_codec
def test_it_starts_at_a_key_frame(codec: Codec) -> None:
    decoder = VideoDecoder(codec)
    numbers = [number_of(picture) for frame in stream(codec)[4:] for picture in decoder.decode(frame)]
    assert numbers == list(range(15, 30))
    assert decoder.skipped == 11


@noticing
def test_after_a_damaged_frame_it_waits_for_a_key_frame(codec: Codec) -> None:
    decoder, noise = VideoDecoder(codec), random.Random(5)
    shown = []
    for number, frame in enumerate(stream(codec)):
        if number == 6:
            data = bytearray(frame.payload)
            for at in range(len(data)):
                data[at] = noise.randrange(256)
            frame = replace(frame, payload=bytes(data))
        shown += [number_of(picture) for picture in decoder.decode(frame)]
    assert [number for number in shown if number is not None and number < 6] == list(range(6))
    assert shown[-15:] == list(range(15, 30))
    assert None not in shown[6:]
    assert not set(shown) & set(range(6, 15))
    assert decoder.damaged >= 1


@every_codec
@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_make_it_raise(codec: Codec, seed: int) -> None:
    decoder, noise = VideoDecoder(codec), random.Random(seed)
    for frame in stream(codec)[:15] * 3:
        payload = bytearray(frame.payload)
        kind = noise.randrange(5)
        if kind == 0:
            payload = payload[: noise.randrange(len(payload))]
        elif kind == 1:
            for _ in range(8):
                payload[noise.randrange(len(payload))] = noise.randrange(256)
        elif kind == 2:
            payload = bytearray()
        decoder.decode(replace(frame, payload=bytes(payload)))
    numbers = [number_of(picture) for frame in stream(codec)[15:] for picture in decoder.decode(frame)]
    assert numbers == list(range(15, 30))


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265, Codec.AV1], ids=lambda codec: codec.name)
def test_a_loss_breaks_references(codec: Codec) -> None:
    decoder = VideoDecoder(codec)
    frames = list(stream(codec))
    frames[6] = replace(frames[6], discontinuity=True)
    del frames[5]
    numbers = [number_of(picture) for frame in frames for picture in decoder.decode(frame)]
    assert numbers == [*range(5), *range(15, 30)]
    assert decoder.damaged == 0


@pytest.mark.parametrize("codec", [Codec.VP8, Codec.VP9], ids=lambda codec: codec.name)
def test_a_loss_that_reception_knows_to_be_harmless_is_none(codec: Codec) -> None:
    decoder = VideoDecoder(codec)
    frames = list(stream(codec))
    frames[6] = replace(frames[6], discontinuity=True)  # an upper temporal layer was lost before it
    numbers = [number_of(picture) for frame in frames for picture in decoder.decode(frame)]
    assert numbers == list(range(30))


@every_codec
def test_sizes_change_at_key_frames(codec: Codec) -> None:
    decoder = VideoDecoder(codec)
    seen = []
    for size in ((160, 120), (320, 180), (96, 176), (160, 120)):
        for frame in stream(codec, size=size)[:5]:
            seen += [(number_of(picture), (picture.width, picture.height)) for picture in decoder.decode(frame)]
    assert seen == [(number, size) for size in ((160, 120), (320, 180), (96, 176), (160, 120)) for number in range(5)]
    assert decoder.damaged == 0


@every_codec
def test_a_reset_waits_for_the_next_key_frame(codec: Codec) -> None:
    decoder = VideoDecoder(codec)
    frames = stream(codec)
    decoder.decode(frames[0])
    decoder.reset()
    assert decoder.needs_keyframe
    numbers = [number_of(picture) for frame in frames[1:] for picture in decoder.decode(frame)]
    assert numbers == list(range(15, 30))


def test_an_encoder_that_announces_reordering_delays_nothing_without_b_frames() -> None:
    options = {"preset": "ultrafast", "x264-params": "bframes=0:keyint=10:scenecut=0:repeat-headers=1:sync-lookahead=0"}
    frames = encode_as("libx264", Codec.H264, "yuv420p", [demo_frame(number) for number in range(12)], options)
    decoder = VideoDecoder(Codec.H264)
    assert [[number_of(picture) for picture in decoder.decode(frame)] for frame in frames] == [[n] for n in range(12)]


@pytest.mark.parametrize(
    ("encoder", "codec", "pixels"),
    [
        *(("libvpx-vp9", Codec.VP9, name) for name in ("yuv444p", "yuv422p", "gbrp")),
        *(("libx264", Codec.H264, name) for name in ("yuv444p", "yuv422p10le", "yuvj420p")),
        ("libx265", Codec.H265, "yuv420p10le"),
        ("libsvtav1", Codec.AV1, "yuv420p10le"),
    ],
)
def test_other_profiles_are_decoded(encoder: str, codec: Codec, pixels: str) -> None:
    options = {"x265-params": "log-level=none:pools=1"} if encoder == "libx265" else {}
    if codec in (Codec.H264, Codec.H265):
        options["tune"] = "zerolatency"
    picture = demo_frame(7).reformat(format=pixels)
    (frame,) = encode_as(encoder, codec, pixels, [picture], options)
    (decoded,) = VideoDecoder(codec).decode(frame)
    assert decoded.format.name == pixels
    assert number_of(decoded.reformat(format="yuv420p")) == 7


@pytest.mark.parametrize(("encoder", "codec"), [("libvpx", Codec.VP8), ("libx264", Codec.H264)])
def test_the_servers_placeholder_is_recognised(encoder: str, codec: Codec) -> None:
    options = {"tune": "zerolatency"} if codec is Codec.H264 else {}
    (frame,) = encode_as(encoder, codec, "yuv420p", [still(8, 8, (16, 128, 128))], options)
    decoder = VideoDecoder(codec)
    (placeholder,) = decoder.decode(frame)
    assert is_placeholder(placeholder)
    (picture,) = decoder.decode(stream(codec)[0])
    assert not is_placeholder(picture)
    assert number_of(picture) == 0


def test_sound_has_no_pictures() -> None:
    with pytest.raises(ValueError, match="no video"):
        VideoDecoder(Codec.OPUS)
