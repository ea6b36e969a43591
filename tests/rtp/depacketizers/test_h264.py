from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.depacketizers.nal_units import MAX_HELD
from pyegress.rtp.errors import ProtocolError
from tests.rtp import packetizers
from tests.rtp.depacketizers.driver import receive, received
from tests.rtp.sps import h264_sps

pytestmark = pytest.mark.unit

SPS = h264_sps()
PPS = bytes.fromhex("68ce3c80")
SEI = bytes.fromhex("06051001020380")
AUD = bytes.fromhex("0910")
IDR = b"\x65\x88" + bytes(range(1, 200))
SLICE = b"\x61\x9a" + bytes(range(1, 100))
#: nal_ref_idc 0: nothing refers to it.
DISPOSABLE = b"\x01\x9a" + bytes(range(1, 100))
#: first_mb_in_slice > 0: a later slice of its picture.
LATER_SLICE = b"\x61\x4a" + bytes(range(1, 100))

#: What livekit-server sends at mute: SPS and PPS of 2x2 pixels and an IDR picture in one STAP-A.
BLANK = bytes.fromhex("1800186742c01f0fd91f888884000003000400000300c83c60c92000066887cb83cb20000a6588840af2628000a7be")


def _annexb(*nals: bytes) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)


def test_key_frame_of_a_browser() -> None:
    """Parameter sets in a STAP-A before the IDR picture, all of one timestamp."""
    payloads = packetizers.h264([SPS, PPS, IDR], 100)
    assert [payload[0] & 0x1F for payload in payloads] == [24, 28, 28, 28]
    frame = received(depacketizer_for(Codec.H264), payloads)
    assert frame.payload == _annexb(SPS, PPS, IDR)
    assert (frame.keyframe, frame.size, frame.discardable) == (True, (640, 360), False)


def test_packetization_mode_0_is_single_nal_units() -> None:
    frame = received(depacketizer_for(Codec.H264), [AUD, SPS, PPS, SEI, IDR])
    assert frame.payload == _annexb(AUD, SPS, PPS, SEI, IDR)
    assert frame.keyframe


def test_nothing_is_added_or_removed() -> None:
    nals = [AUD, SEI, SLICE, LATER_SLICE, b"\x0c\xff\xff\x80"]
    frame = received(depacketizer_for(Codec.H264), packetizers.h264(nals, 60))
    assert frame.payload == _annexb(*nals)
    assert (frame.keyframe, frame.size) == (False, None)


@pytest.mark.parametrize(("nals", "discardable"), [([DISPOSABLE], True), ([DISPOSABLE, SLICE], False)])
def test_pictures_that_nothing_refers_to_are_discardable(nals: list[bytes], discardable: bool) -> None:
    assert received(depacketizer_for(Codec.H264), packetizers.h264(nals, 50)).discardable == discardable


def test_an_idr_picture_before_any_parameter_set_is_no_key_frame() -> None:
    depacketizer = depacketizer_for(Codec.H264)
    assert not received(depacketizer, [IDR]).keyframe
    assert not received(depacketizer, [SPS, IDR]).keyframe
    assert received(depacketizer, [SPS, PPS, IDR]).keyframe
    later = received(depacketizer, [IDR])
    assert (later.keyframe, later.size, later.payload) == (True, (640, 360), _annexb(IDR))


def test_parameter_sets_of_their_own_timestamp_go_in_front_of_the_next_picture() -> None:
    depacketizer = depacketizer_for(Codec.H264)
    assert receive(depacketizer, packetizers.h264([SPS, PPS], 1200)) is None
    assert receive(depacketizer, [SEI]) is None
    frame = received(depacketizer, packetizers.h264([IDR], 90))
    assert frame.payload == _annexb(SPS, PPS, SEI, IDR)
    assert frame.keyframe
    assert received(depacketizer, [SLICE]).payload == _annexb(SLICE)


def test_what_is_held_back_is_bounded() -> None:
    depacketizer = depacketizer_for(Codec.H264)
    sei = b"\x06" + bytes(range(1, 256)) * 200
    for _ in range(MAX_HELD // len(sei)):
        assert receive(depacketizer, [sei]) is None
    with pytest.raises(ProtocolError):
        depacketizer.assemble([sei])
    assert received(depacketizer, [SLICE]).payload == _annexb(SLICE)


def test_size_follows_new_parameter_sets() -> None:
    depacketizer = depacketizer_for(Codec.H264)
    assert received(depacketizer, [SPS, PPS, IDR]).size == (640, 360)
    large = h264_sps(macroblocks=(80, 45), crop=None)
    assert received(depacketizer, [large, PPS, IDR]).size == (1280, 720)


def test_the_servers_blank_frames_are_no_frames_and_change_nothing() -> None:
    depacketizer = depacketizer_for(Codec.H264)
    received(depacketizer, [SPS, PPS, IDR])
    assert receive(depacketizer, [BLANK]) is None
    assert received(depacketizer, [IDR]).size == (640, 360)


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (IDR, True),
        (SPS, True),
        (LATER_SLICE, False),
        (b"\x63\x88\x01", False),  # data partition B
        (packetizers.h264([SPS, PPS], 1200)[0], True),
        (packetizers.h264([LATER_SLICE, LATER_SLICE], 1200)[0], False),
        (packetizers.h264([IDR], 50)[0], True),
        (packetizers.h264([IDR], 50)[1], False),
        (packetizers.h264([LATER_SLICE], 50)[0], False),
    ],
)
def test_which_packets_can_be_the_first_of_a_frame(payload: bytes, starts: bool) -> None:
    assert depacketizer_for(Codec.H264).inspect(payload, False) == (payload, starts, False)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="h264_empty"),
        pytest.param("e588", id="h264_forbidden_bit"),
        pytest.param("6088", id="h264_type_0"),
        pytest.param("7900000001", id="h264_stap_b"),
        pytest.param("7a00000001", id="h264_mtap"),
        pytest.param("7d850001", id="h264_fu_b"),
        pytest.param("7f00", id="h264_type_31"),
        pytest.param("7c", id="h264_fu_a_header_truncated"),
        pytest.param("7cc501", id="h264_fu_a_start_and_end"),
        pytest.param("7c8001", id="h264_fu_a_of_type_0"),
        pytest.param("7c9c01", id="h264_fu_a_of_fu_a"),
        pytest.param("78", id="h264_stap_a_empty"),
        pytest.param("780001", id="h264_stap_a_size_without_nal"),
    ],
)
def test_impossible_packets_are_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.H264).inspect(bytes.fromhex(payload), True)
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.H264).assemble([bytes.fromhex(payload)])


_FRAGMENTS = packetizers.h264([IDR], 60)
_STAP_A = packetizers.h264([SPS, PPS], 1200)[0]


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([], id="h264_no_packets"),
        pytest.param(_FRAGMENTS[1:], id="h264_fu_a_without_start"),
        pytest.param(_FRAGMENTS[:-1], id="h264_fu_a_without_end"),
        pytest.param([_FRAGMENTS[0], *_FRAGMENTS], id="h264_fu_a_started_twice"),
        pytest.param([_FRAGMENTS[0], SLICE, *_FRAGMENTS[1:]], id="h264_fu_a_interrupted"),
        pytest.param([_FRAGMENTS[0], b"\x7c\x01" + _FRAGMENTS[1][2:], *_FRAGMENTS[2:]], id="h264_fu_a_changes_type"),
        pytest.param([_STAP_A[:-1], IDR], id="h264_stap_a_truncated"),
        pytest.param([_STAP_A + b"\x00", IDR], id="h264_stap_a_half_a_size"),
        pytest.param([_STAP_A + b"\x00\x00", IDR], id="h264_stap_a_empty_nal"),
        pytest.param([b"\x78\x00\x02\x7c\x85", IDR], id="h264_stap_a_of_fu_a"),
        pytest.param([_STAP_A] * 5000, id="h264_ten_thousand_nal_units"),
        pytest.param([SPS[:6], PPS, IDR], id="h264_sps_truncated"),
        pytest.param([bytes(255)], id="h264_server_padding_left_in"),
    ],
)
def test_frames_that_cannot_be_are_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.H264).assemble(payloads)
