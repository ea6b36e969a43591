from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.errors import ProtocolError
from tests.rtp import packetizers
from tests.rtp.depacketizers.driver import receive, received
from tests.rtp.sps import h265_sps

pytestmark = pytest.mark.unit

VPS = bytes.fromhex("40010c01ffff016000000300900000030000")
SPS = h265_sps()
PPS = bytes.fromhex("4401c0f2c68d03")
AUD = bytes.fromhex("460150")
EOS = bytes.fromhex("4801")


def _slice(kind: int, *, first: bool = True) -> bytes:
    return bytes((kind << 1, 1, 0xAF if first else 0x2F)) + bytes(range(1, 120))


IDR = _slice(19)
TRAIL = _slice(1)
LATER_SEGMENT = _slice(1, first=False)


def _annexb(*nals: bytes) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + nal for nal in nals)


@pytest.mark.parametrize("mtu", [20, 100, 1200])
def test_key_frame(mtu: int) -> None:
    frame = received(depacketizer_for(Codec.H265), packetizers.h265([AUD, VPS, SPS, PPS, IDR], mtu))
    assert frame.payload == _annexb(AUD, VPS, SPS, PPS, IDR)
    assert (frame.keyframe, frame.size) == (True, (640, 360))


@pytest.mark.parametrize("kind", range(32))
def test_intra_random_access_pictures_are_key_frames(kind: int) -> None:
    depacketizer = depacketizer_for(Codec.H265)
    received(depacketizer, [VPS, SPS, PPS, IDR])
    frame = received(depacketizer, [_slice(kind)])
    assert frame.keyframe == (16 <= kind <= 23)
    assert frame.size == ((640, 360) if frame.keyframe else None)


def test_nothing_is_added_or_removed() -> None:
    nals = [TRAIL, LATER_SEGMENT, bytes.fromhex("500184018080"), EOS]
    frame = received(depacketizer_for(Codec.H265), packetizers.h265(nals, 60, aggregate=False))
    assert frame.payload == _annexb(*nals)


def test_layer_and_temporal_id_survive_fragmentation() -> None:
    nal = b"\x03\x0b" + TRAIL[2:]
    payloads = packetizers.h265([nal], 40)
    assert len(payloads) > 2
    assert received(depacketizer_for(Codec.H265), payloads).payload == _annexb(nal)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_picture_without_its_parameter_sets_is_no_key_frame(missing: int) -> None:
    sets = [VPS, SPS, PPS]
    lost = sets.pop(missing)
    depacketizer = depacketizer_for(Codec.H265)
    assert not received(depacketizer, [*sets, IDR]).keyframe
    assert received(depacketizer, [lost, IDR]).keyframe


def test_parameter_sets_of_their_own_timestamp_go_in_front_of_the_next_picture() -> None:
    depacketizer = depacketizer_for(Codec.H265)
    assert receive(depacketizer, packetizers.h265([VPS, SPS, PPS], 1200)) is None
    frame = received(depacketizer, packetizers.h265([IDR], 90))
    assert (frame.payload, frame.keyframe) == (_annexb(VPS, SPS, PPS, IDR), True)


def test_parameter_sets_of_enhancement_layers_do_not_change_the_size() -> None:
    enhancement = bytes((SPS[0], 0x09)) + bytes(30)
    frame = received(depacketizer_for(Codec.H265), [VPS, SPS, enhancement, PPS, IDR])
    assert frame.size == (640, 360)


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        (IDR, True),
        (VPS, True),
        (LATER_SEGMENT, False),
        (packetizers.h265([VPS, SPS], 1200)[0], True),
        (packetizers.h265([LATER_SEGMENT, LATER_SEGMENT], 1200)[0], False),
        (packetizers.h265([IDR], 50)[0], True),
        (packetizers.h265([IDR], 50)[1], False),
        (packetizers.h265([LATER_SEGMENT], 50)[0], False),
    ],
)
def test_which_packets_can_be_the_first_of_a_frame(payload: bytes, starts: bool) -> None:
    assert depacketizer_for(Codec.H265).inspect(payload, False) == (payload, starts, False)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="h265_empty"),
        pytest.param("40", id="h265_header_truncated"),
        pytest.param("a601af01", id="h265_forbidden_bit"),
        pytest.param("2600af01", id="h265_without_temporal_id"),
        pytest.param("6401800001", id="h265_paci"),
        pytest.param("7e01800001", id="h265_type_63"),
        pytest.param("6201", id="h265_fragmentation_header_truncated"),
        pytest.param("6201d301", id="h265_fragmentation_start_and_end"),
        pytest.param("6201b001", id="h265_fragmentation_of_aggregation"),
        pytest.param("6001", id="h265_aggregation_empty"),
        pytest.param("60010002", id="h265_aggregation_size_without_nal"),
    ],
)
def test_impossible_packets_are_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.H265).inspect(bytes.fromhex(payload), True)
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.H265).assemble([bytes.fromhex(payload)])


_FRAGMENTS = packetizers.h265([IDR], 60)
_AGGREGATION = packetizers.h265([VPS, SPS], 1200)[0]


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([], id="h265_no_packets"),
        pytest.param(_FRAGMENTS[1:], id="h265_fragmentation_without_start"),
        pytest.param(_FRAGMENTS[:-1], id="h265_fragmentation_without_end"),
        pytest.param([_FRAGMENTS[0], *_FRAGMENTS], id="h265_fragmentation_started_twice"),
        pytest.param([_FRAGMENTS[0], TRAIL, *_FRAGMENTS[1:]], id="h265_fragmentation_interrupted"),
        pytest.param(
            [_FRAGMENTS[0], b"\x62\x01\x01" + bytes(9), *_FRAGMENTS[2:]], id="h265_fragmentation_changes_type"
        ),
        pytest.param(
            [_FRAGMENTS[0], b"\x62\x02\x13" + bytes(9), *_FRAGMENTS[2:]], id="h265_fragmentation_changes_layer"
        ),
        pytest.param([_AGGREGATION[:-1], IDR], id="h265_aggregation_truncated"),
        pytest.param([_AGGREGATION + b"\x00", IDR], id="h265_aggregation_half_a_size"),
        pytest.param([_AGGREGATION + b"\x00\x00", IDR], id="h265_aggregation_empty_nal"),
        pytest.param([_AGGREGATION + b"\x00\x01\x40", IDR], id="h265_aggregation_nal_header_truncated"),
        pytest.param([b"\x60\x01\x00\x03\x62\x01\x93", IDR], id="h265_aggregation_of_fragmentation"),
        pytest.param([_AGGREGATION] * 5000, id="h265_ten_thousand_nal_units"),
        pytest.param([VPS, SPS[:12], PPS, IDR], id="h265_sps_truncated"),
    ],
)
def test_frames_that_cannot_be_are_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.H265).assemble(payloads)
