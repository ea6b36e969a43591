from __future__ import annotations

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.errors import ProtocolError
from tests.rtp import packetizers
from tests.rtp.depacketizers.driver import receive, received
from tests.rtp.packetizers import leb128
from tests.rtp.sps import av1_sequence

pytestmark = pytest.mark.unit

DELIMITER = b"\x10"
SEQUENCE = b"\x08" + av1_sequence()
KEY = b"\x30\x10" + bytes(range(200))
INTER = b"\x30\x30" + bytes(range(90))
METADATA = b"\x28\x01\x02\x03"
TILE_LIST = b"\x40\x00\x00"
#: Spatial layer 1 of a key picture: not a key frame itself.
UPPER_LAYER = b"\x34\x08\x30" + bytes(range(50))


def _sized(*obus: bytes) -> bytes:
    """The low-overhead format."""
    out = b""
    for obu in obus:
        head = 2 if obu[0] & 4 else 1
        out += bytes((obu[0] | 2,)) + obu[1:head] + leb128(len(obu) - head) + obu[head:]
    return out


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("mtu", [10, 50, 1200])
def test_key_frame(mtu: int, counted: bool) -> None:
    payloads = packetizers.av1([SEQUENCE, METADATA, KEY], mtu, counted=counted, new_sequence=True)
    frame = received(depacketizer_for(Codec.AV1), payloads)
    assert frame.payload == _sized(SEQUENCE, METADATA, KEY)
    assert (frame.keyframe, frame.size) == (True, (640, 360))


def test_inter_frame() -> None:
    frame = received(depacketizer_for(Codec.AV1), packetizers.av1([INTER], 40))
    assert (frame.payload, frame.keyframe, frame.size) == (_sized(INTER), False, None)


@pytest.mark.parametrize(
    ("obus", "keyframe"),
    [
        pytest.param([SEQUENCE, INTER], False, id="sequence_repeated_before_inter_frame"),
        pytest.param([KEY], False, id="key_frame_without_sequence"),
        pytest.param([SEQUENCE, METADATA], False, id="no_frame"),
        pytest.param([SEQUENCE, b"\x30\x00" + bytes(9)], False, id="hidden_key_frame"),
        pytest.param([SEQUENCE, b"\x18\x10\x00", b"\x20" + bytes(30)], True, id="header_and_tile_group"),
        pytest.param([SEQUENCE, KEY, UPPER_LAYER], True, id="spatial_layers"),
    ],
)
def test_what_is_a_key_frame(obus: list[bytes], keyframe: bool) -> None:
    frame = received(depacketizer_for(Codec.AV1), packetizers.av1(obus, 60))
    assert frame.payload == _sized(*obus)
    assert frame.keyframe == keyframe
    assert (frame.size is not None) == keyframe


def test_delimiters_and_tile_lists_are_ignored() -> None:
    payloads = packetizers.av1([DELIMITER, SEQUENCE, KEY, TILE_LIST], 100)
    assert received(depacketizer_for(Codec.AV1), payloads).payload == _sized(SEQUENCE, KEY)
    assert receive(depacketizer_for(Codec.AV1), packetizers.av1([DELIMITER], 100)) is None


def test_obus_that_come_with_their_size_get_no_second_one() -> None:
    payloads = packetizers.av1([_sized(SEQUENCE), _sized(KEY)], 60)
    assert received(depacketizer_for(Codec.AV1), payloads).payload == _sized(SEQUENCE, KEY)


def test_size_follows_the_sequence_header() -> None:
    depacketizer = depacketizer_for(Codec.AV1)
    assert received(depacketizer, packetizers.av1([SEQUENCE, KEY], 100)).size == (640, 360)
    larger = b"\x08" + av1_sequence(size=(1280, 720))
    assert received(depacketizer, packetizers.av1([larger, KEY], 100)).size == (1280, 720)


def test_only_packets_that_continue_an_obu_cannot_start_a_frame() -> None:
    depacketizer = depacketizer_for(Codec.AV1)
    first, second, *_ = packetizers.av1([SEQUENCE, KEY], 60)
    assert depacketizer.inspect(first, False)[1:] == (True, False)
    assert depacketizer.inspect(second, True)[1:] == (False, True)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="av1_empty"),
        pytest.param("10", id="av1_aggregation_header_alone"),
        pytest.param("983001", id="av1_new_sequence_inside_obu"),
    ],
)
def test_impossible_packets_are_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.AV1).inspect(bytes.fromhex(payload), True)
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.AV1).assemble([bytes.fromhex(payload)])


_PACKETS = packetizers.av1([SEQUENCE, KEY], 60)


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([], id="av1_no_packets"),
        pytest.param(_PACKETS[1:], id="av1_fragment_without_start"),
        pytest.param(_PACKETS[:-1], id="av1_fragment_without_end"),
        pytest.param([_PACKETS[0], *packetizers.av1([INTER], 1200)], id="av1_fragment_interrupted"),
        pytest.param([b"\x00\x80\x80\x80\x80\x80\x80\x80\x80\x00"], id="av1_leb128_overlong"),
        pytest.param([b"\x00\x80"], id="av1_leb128_truncated"),
        pytest.param([b"\x00\xff\xff\xff\xff\x7f" + KEY], id="av1_leb128_over_32_bits"),
        pytest.param([b"\x00\x05\x30\x10"], id="av1_element_longer_than_packet"),
        pytest.param([b"\x00\x02\x30\x10\x00"], id="av1_element_empty"),
        pytest.param([b"\x20\x02\x30\x10"], id="av1_fewer_elements_than_counted"),
        pytest.param([b"\x30\x02\x30\x10"], id="av1_two_elements_fewer_than_counted"),
        pytest.param([b"\x10\xb0\x00"], id="av1_obu_forbidden_bit"),
        pytest.param([b"\x10\x32\x09\x10"], id="av1_obu_longer_than_element"),
        pytest.param([b"\x00" + b"\x02\x28\x01" * 400] * 25, id="av1_ten_thousand_obus"),
        pytest.param([b"\x10" + SEQUENCE[:6]], id="av1_sequence_header_truncated"),
        pytest.param([b"\x20" + leb128(len(SEQUENCE)) + SEQUENCE + b"\x30"], id="av1_frame_without_header"),
    ],
)
def test_temporal_units_that_cannot_be_are_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.AV1).assemble(payloads)
