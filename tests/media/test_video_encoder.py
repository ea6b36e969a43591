from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pyegress.codecs import Codec
from pyegress.errors import Code, EgressError
from pyegress.media.video_encoder import VideoEncoder, check_hardware
from pyegress.plan.encodings import H264Profile, Hardware, Quality, VideoCodec
from pyegress.rtp.codec_config import h264_parameter_sets, split_annexb
from pyegress.rtp.frame import EncodedFrame
from tests.media.encoding import encode_pictures, pictures, stamp_of, video

pytestmark = pytest.mark.media

_DECODERS = {Codec.H264: "h264", Codec.VP8: "vp8", Codec.VP9: "vp9", Codec.AV1: "libdav1d"}
each_codec = pytest.mark.parametrize("codec", list(VideoCodec), ids=lambda codec: codec.name)


def decode(frames: list[EncodedFrame]) -> tuple[list[av.VideoFrame], av.VideoCodecContext]:
    decoder = av.CodecContext.create(_DECODERS[frames[0].codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    shown = [picture for frame in frames for picture in decoder.decode(av.Packet(frame.payload))]
    return shown + decoder.decode(None), decoder


def noise(count: int, size: tuple[int, int]) -> list[av.VideoFrame]:
    """Busy pictures: more than the bit rate can hold."""
    random = np.random.default_rng(1)
    coarse = random.integers(16, 235, (size[1] // 2, size[0] // 4 + count), np.uint8)
    moving = (coarse[:, number : number + size[0] // 4] for number in range(count))
    shots = (shot // 2 + random.integers(0, 100, shot.shape, np.uint8) for shot in moving)
    rows = size[1] * 3 // 2
    return [av.VideoFrame.from_ndarray(shot.repeat(4, 0)[:rows].repeat(4, 1), "yuv420p") for shot in shots]


@each_codec
@pytest.mark.parametrize("quality", list(Quality), ids=lambda quality: quality.value)
def test_every_picture_comes_back_in_order(codec: VideoCodec, quality: Quality) -> None:
    frames = encode_pictures(VideoEncoder(replace(video(codec), quality=quality)), pictures(40))
    assert [frame.timestamp for frame in frames] == [tick * 3000 for tick in range(40)]
    assert [frame.size for frame in frames if frame.keyframe] == [(320, 180)]
    shown, _ = decode(frames)
    numbers = [stamp.number for one in shown if (stamp := stamp_of(one))]
    assert numbers == list(range(40))


@each_codec
def test_key_frames_come_at_the_interval_and_when_asked_for(codec: VideoCodec) -> None:
    encoder = VideoEncoder(video(codec, interval=0.5))
    frames: list[EncodedFrame] = []
    for tick, picture in enumerate(pictures(50)):
        frames += encoder.encode(picture, tick, keyframe=tick == 20)
    frames += encoder.flush()
    assert [number for number, frame in enumerate(frames) if frame.keyframe] == [0, 15, 20, 30, 45]
    # Decoding can begin at the key frame that was asked for.
    shown, _ = decode(frames[20:])
    stamp = stamp_of(shown[0])
    assert stamp is not None
    assert stamp.number == 20


@each_codec
def test_key_frames_of_an_odd_interval_do_not_drift_and_film_cuts_do_not_move_them(codec: VideoCodec) -> None:
    film = pictures(20) + noise(25, (320, 180)) + pictures(23)
    frames = encode_pictures(VideoEncoder(video(codec, interval=0.45)), film)
    keys = [number for number, frame in enumerate(frames) if frame.keyframe]
    assert [key for key in keys if key in (0, 14, 27, 41, 54, 68)] == [0, 14, 27, 41, 54]
    if codec is VideoCodec.H264:
        assert keys == [0, 14, 27, 41, 54]
    for key in keys:  # nothing behind refers to what was before
        shown, _ = decode(frames[key : key + 3])
        assert len(shown) == 3


@pytest.mark.parametrize("profile", list(H264Profile), ids=lambda profile: profile.value)
def test_h264_says_its_profile_level_and_colours(profile: H264Profile) -> None:
    encoding = replace(video(VideoCodec.H264, size=(1280, 720), bitrate=3000), profile=profile)
    frames = encode_pictures(VideoEncoder(encoding), pictures(4, (1280, 720)))
    sps, pps = h264_parameter_sets(frames[0].payload)
    assert sps
    assert pps
    assert sps[0][1] == {H264Profile.BASELINE: 66, H264Profile.MAIN: 77, H264Profile.HIGH: 100}[profile]
    assert sps[0][3] == 31  # ITU-T H.264 table A-1: 1280x720 at 30 fps
    shown, decoder = decode(frames)
    assert decoder.max_b_frames in (0, None) or not decoder.has_b_frames
    picture = shown[0]
    assert (picture.colorspace, picture.color_primaries, picture.color_trc, picture.color_range) == (1, 1, 1, 1)


def test_h264_is_annex_b_with_long_start_codes_and_parameter_sets_at_each_key_frame() -> None:
    frames = encode_pictures(VideoEncoder(video(VideoCodec.H264, interval=0.5)), pictures(31))
    for frame in frames:
        units = split_annexb(frame.payload)
        assert frame.payload == b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
        kinds = {unit[0] & 0x1F for unit in units}
        assert ({7, 8, 5} <= kinds) == frame.keyframe


@each_codec
def test_bit_rate_of_busy_pictures(codec: VideoCodec) -> None:
    encoding = video(codec, bitrate=1000)
    frames = encode_pictures(VideoEncoder(encoding), noise(150, (320, 180)))
    # The buffer of two seconds may be spent at the end: what counts is the rate behind the start.
    kbps = sum(len(frame.payload) for frame in frames[30:]) * 8 / 4 / 1000
    assert kbps == pytest.approx(1000, rel=0.15)


def test_constant_bit_rate_pads_still_pictures() -> None:
    encoding = replace(video(VideoCodec.H264, bitrate=800, interval=2.0), constant_bitrate=True)
    still = pictures(1)[0]
    frames = encode_pictures(VideoEncoder(encoding, low_latency=True), [still] * 150)
    assert sum(len(frame.payload) for frame in frames[60:]) * 8 / 3 / 1000 == pytest.approx(800, rel=0.15)
    free = encode_pictures(VideoEncoder(replace(encoding, constant_bitrate=False)), [still] * 150)
    assert sum(len(frame.payload) for frame in free[60:]) * 8 / 3 / 1000 < 200


def test_delay_is_short_and_shortest_when_watched_live() -> None:
    film = pictures(30)
    delays = {}
    for live in (False, True):
        encoder = VideoEncoder(video(VideoCodec.H264), low_latency=live)
        for tick, picture in enumerate(film):
            encoder.encode(picture, tick)
        delays[live] = encoder.delay
        encoder.flush()
        assert encoder.delay == 0
    assert delays == {False: 5, True: 0}


def test_scene_cuts_make_key_frames_only_where_they_may() -> None:
    film = pictures(40) + noise(10, (320, 180))
    for cuts in (True, False):
        encoding = replace(video(VideoCodec.H264), scene_cuts=cuts)
        keys = [n for n, frame in enumerate(encode_pictures(VideoEncoder(encoding), film)) if frame.keyframe]
        assert keys == ([0, 40] if cuts else [0])


def test_ticks_may_be_left_out_and_odd_rates_are_rounded() -> None:
    encoder = VideoEncoder(video(VideoCodec.VP8, framerate=7))
    frames: list[EncodedFrame] = []
    for tick, picture in zip((0, 3, 4), pictures(3), strict=True):
        frames += encoder.encode(picture, tick)
    assert [frame.timestamp for frame in frames + encoder.flush()] == [0, 38_571, 51_429]


def test_a_machine_without_a_card_says_so() -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a card")
    with pytest.raises(EgressError, match="NVIDIA card here: there is no driver") as caught:
        VideoEncoder(replace(video(VideoCodec.H264), hardware=Hardware.NVENC))
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert "hardware auto or none" in caught.value.remedy
    assert "avcodec_open2" not in caught.value.message
    with pytest.raises(EgressError, match="NVIDIA"):
        check_hardware(replace(video(VideoCodec.H264), hardware=Hardware.NVENC))


def test_where_the_card_may_be_missing_the_processor_encodes() -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a card")
    encoding = replace(video(VideoCodec.H264), hardware=Hardware.AUTO)
    check_hardware(encoding)
    encoder = VideoEncoder(encoding)
    assert not encoder.hardware
    assert len(encode_pictures(encoder, pictures(10))) == 10


def test_what_an_encoder_refuses_is_said() -> None:
    with pytest.raises(EgressError, match="VP8 encoder refuses 0x0"):
        VideoEncoder(replace(video(VideoCodec.VP8), width=0, height=0))
