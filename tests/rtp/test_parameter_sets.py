from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.parameter_sets import H264Sps, H265Sps, read_h264_sps, read_h265_sps
from tests.rtp.sps import h264_sps, h265_sps

pytestmark = pytest.mark.unit


def test_baseline_sps() -> None:
    sps = read_h264_sps(h264_sps())
    assert sps == H264Sps(profile=66, compatibility=0xC0, level=31, width=640, height=360)
    assert sps.size == (640, 360)


@pytest.mark.parametrize("scaling_lists", [False, True])
@pytest.mark.parametrize(
    ("chroma_format", "separate_planes", "size"),
    [
        (0, False, (636, 363)),
        (1, False, (632, 358)),
        (2, False, (632, 363)),
        (3, False, (636, 363)),
        (3, True, (636, 363)),
    ],
)
def test_high_profiles(chroma_format: int, separate_planes: bool, size: tuple[int, int], scaling_lists: bool) -> None:
    sps = read_h264_sps(
        h264_sps(
            profile=244,
            chroma_format=chroma_format,
            separate_planes=separate_planes,
            scaling_lists=scaling_lists,
            luma_bits=10,
            chroma_bits=9,
            crop=(1, 3, 2, 3),
        )
    )
    assert sps.size == size
    assert (sps.chroma_format, sps.luma_bits, sps.chroma_bits) == (chroma_format, 10, 9)


@pytest.mark.parametrize("order_type", [0, 1, 2])
@pytest.mark.parametrize("order_cycle", [0, 255])
def test_picture_order_types(order_type: int, order_cycle: int) -> None:
    assert read_h264_sps(h264_sps(order_type=order_type, order_cycle=order_cycle)).size == (640, 360)


def test_field_coding_doubles_the_map_units() -> None:
    assert read_h264_sps(h264_sps(macroblocks=(120, 34), frames_only=False, crop=(0, 0, 0, 2))).size == (1920, 1080)


@pytest.mark.parametrize(
    "nal",
    [
        pytest.param(b"", id="h264_sps_empty"),
        pytest.param(b"\x68" + h264_sps()[1:], id="h264_pps_for_sps"),
        pytest.param(h264_sps(profile=100, chroma_format=4), id="h264_sps_chroma_format_4"),
        pytest.param(h264_sps(profile=100, luma_bits=40), id="h264_sps_40_bits"),
        pytest.param(h264_sps(order_type=3), id="h264_sps_order_type_3"),
        pytest.param(h264_sps(order_type=1, order_cycle=256), id="h264_sps_order_cycle_256"),
        pytest.param(h264_sps(crop=(0, 0, 0, 184)), id="h264_sps_cropped_to_nothing"),
        pytest.param(h264_sps(macroblocks=(5000, 10)), id="h264_sps_80000_wide"),
        pytest.param(h264_sps() + bytes(65536), id="h264_sps_over_65535_bytes"),
    ],
)
def test_impossible_h264_sps_is_refused(nal: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_h264_sps(nal)


def test_h265_sps() -> None:
    sps = read_h265_sps(h265_sps())
    assert sps == H265Sps(bytes.fromhex("01600000009000000000005d"), 640, 360, 1, 8, 8, 1, True)
    assert sps.size == (640, 360)


@pytest.mark.parametrize("layers", range(1, 8))
def test_h265_temporal_layers(layers: int) -> None:
    sps = read_h265_sps(h265_sps(layers=layers, nesting=False))
    assert (sps.size, sps.temporal_layers, sps.temporal_nesting) == ((640, 360), layers, False)


@pytest.mark.parametrize(
    ("chroma_format", "separate_planes", "size"),
    [
        (0, False, (636, 363)),
        (1, False, (632, 358)),
        (2, False, (632, 363)),
        (3, False, (636, 363)),
        (3, True, (636, 363)),
    ],
)
def test_h265_conformance_window(chroma_format: int, separate_planes: bool, size: tuple[int, int]) -> None:
    nal = h265_sps(
        chroma_format=chroma_format, separate_planes=separate_planes, window=(1, 3, 2, 3), luma_bits=12, chroma_bits=10
    )
    sps = read_h265_sps(nal)
    assert (sps.size, sps.chroma_format, sps.luma_bits, sps.chroma_bits) == (size, chroma_format, 12, 10)


@pytest.mark.parametrize(
    "nal",
    [
        pytest.param(b"", id="h265_sps_empty"),
        pytest.param(b"\x44" + h265_sps()[1:], id="h265_pps_for_sps"),
        pytest.param(h265_sps(layers=8), id="h265_sps_eight_temporal_layers"),
        pytest.param(h265_sps(chroma_format=4), id="h265_sps_chroma_format_4"),
        pytest.param(h265_sps(luma_bits=17), id="h265_sps_17_bits"),
        pytest.param(h265_sps(size=(0, 360)), id="h265_sps_without_width"),
        pytest.param(h265_sps(window=(0, 0, 0, 184)), id="h265_sps_cropped_to_nothing"),
    ],
)
def test_impossible_h265_sps_is_refused(nal: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_h265_sps(nal)


@pytest.mark.parametrize("length", range(10))
def test_truncated_sps_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        read_h264_sps(h264_sps(profile=100)[:length])
    with pytest.raises(ProtocolError):
        read_h265_sps(h265_sps()[:length])


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    for read, header in ((read_h264_sps, b"\x67"), (read_h264_sps, b"\x67\x64"), (read_h265_sps, b"\x42\x01")):
        try:
            size = read(header + data).size
        except ProtocolError:
            continue
        assert all(0 < side < 65536 for side in size)
