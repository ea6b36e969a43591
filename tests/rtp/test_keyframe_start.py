"""Recognising the first packet of a key frame."""

from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.keyframe_start import starts_keyframe

pytestmark = pytest.mark.wire


@pytest.mark.parametrize(
    ("codec", "payload", "expected"),
    [
        pytest.param(Codec.VP8, "10 500100", True, id="vp8_key"),
        pytest.param(Codec.VP8, "90 80 8123 500100", True, id="vp8_key_with_picture_id"),
        pytest.param(Codec.VP8, "10 510100", False, id="vp8_delta"),
        pytest.param(Codec.VP8, "00 500100", False, id="vp8_continuation"),
        pytest.param(Codec.VP9, "08 aa", True, id="vp9_key"),
        pytest.param(Codec.VP9, "48 aa", False, id="vp9_delta"),
        pytest.param(Codec.VP9, "00 aa", False, id="vp9_continuation"),
        pytest.param(Codec.VP9, "28 03 00 aa", False, id="vp9_upper_layer"),
        pytest.param(Codec.H264, "65 aa", True, id="h264_idr"),
        pytest.param(Codec.H264, "67 aa", True, id="h264_sps"),
        pytest.param(Codec.H264, "41 aa", False, id="h264_slice"),
        pytest.param(Codec.H264, "78 0002 6742 0001 68", True, id="h264_stap_with_sps"),
        pytest.param(Codec.H264, "78 0002 0910 0001 41", False, id="h264_stap_without"),
        pytest.param(Codec.H264, "7c 85 aa", True, id="h264_fu_start_of_idr"),
        pytest.param(Codec.H264, "7c 05 aa", False, id="h264_fu_middle_of_idr"),
        pytest.param(Codec.H265, "26 01 aa", True, id="h265_idr"),
        pytest.param(Codec.H265, "40 01 aa", True, id="h265_vps"),
        pytest.param(Codec.H265, "02 01 aa", False, id="h265_trail"),
        pytest.param(Codec.H265, "62 01 93 aa", True, id="h265_fu_start_of_idr"),
        pytest.param(Codec.H265, "62 01 13 aa", False, id="h265_fu_middle_of_idr"),
        pytest.param(Codec.H265, "60 01 0002 4001", True, id="h265_ap_with_vps"),
        pytest.param(Codec.AV1, "18 0a", True, id="av1_new_sequence"),
        pytest.param(Codec.AV1, "10 32", False, id="av1_delta"),
        pytest.param(Codec.OPUS, "78 00", False, id="audio"),
        pytest.param(Codec.VP8, "90", False, id="vp8_truncated"),
        pytest.param(Codec.H264, "", False, id="h264_empty"),
        pytest.param(Codec.H264, "78 00", False, id="h264_stap_truncated"),
    ],
)
def test_the_first_packet_of_a_key_frame(codec: Codec, payload: str, expected: bool) -> None:
    assert starts_keyframe(codec, bytes.fromhex(payload.replace(" ", ""))) is expected
