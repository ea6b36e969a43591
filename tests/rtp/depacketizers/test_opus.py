from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.depacketizers.opus import MAX_DURATION, packet_duration
from pyegress.rtp.errors import ProtocolError
from tests.rtp.depacketizers.driver import received

pytestmark = pytest.mark.unit

CELT_20_MS = 31 << 3  # configuration 31: CELT, full band, 20 ms


@pytest.mark.parametrize(
    ("configuration", "milliseconds"),
    [
        (0, 10),
        (3, 60),
        (7, 60),
        (11, 60),
        (12, 10),
        (13, 20),
        (15, 20),
        (16, 2.5),
        (17, 5),
        (18, 10),
        (19, 20),
        (31, 20),
    ],
)
def test_duration_of_one_frame_by_configuration(configuration: int, milliseconds: float) -> None:
    assert packet_duration(bytes((configuration << 3, 1, 2, 3))) == milliseconds * 48


@pytest.mark.parametrize(
    ("packet", "frames"),
    [
        pytest.param(bytes((CELT_20_MS,)), 1, id="one_empty_frame_of_dtx"),
        pytest.param(bytes((CELT_20_MS, 0xFF, 0xFE)) + bytes(77), 1, id="silence_that_livekit_sends_at_mute"),
        pytest.param(bytes((CELT_20_MS | 1, 1, 2)), 2, id="two_equal_frames"),
        pytest.param(bytes((CELT_20_MS | 2, 2, 1, 1, 9)), 2, id="two_frames"),
        pytest.param(bytes((CELT_20_MS | 2, 252, 1)) + bytes(256), 2, id="two_frames_with_a_long_length"),
        pytest.param(bytes((CELT_20_MS | 3, 3, 1, 2, 3)), 3, id="three_equal_frames"),
        pytest.param(bytes((CELT_20_MS | 3, 0x82, 1, 9, 8)), 2, id="frames_with_lengths"),
        pytest.param(bytes((CELT_20_MS | 3, 0x42, 3, 9, 8, 0, 0, 0)), 2, id="padding"),
        pytest.param(bytes((CELT_20_MS | 3, 0x41, 255, 1, 9)) + bytes(255), 1, id="padding_with_a_long_length"),
    ],
)
def test_frame_count(packet: bytes, frames: int) -> None:
    frame = received(depacketizer_for(Codec.OPUS), [packet])
    assert frame.duration == frames * 960
    assert frame.payload == packet
    assert frame.keyframe


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"", id="opus_empty"),
        pytest.param(bytes((CELT_20_MS,)) + bytes(1276), id="opus_frame_over_1275_bytes"),
        pytest.param(bytes((CELT_20_MS | 1, 1, 2, 3)), id="opus_two_equal_frames_of_odd_size"),
        pytest.param(bytes((CELT_20_MS | 1,)) + bytes(2552), id="opus_two_equal_frames_over_1275_bytes"),
        pytest.param(bytes((CELT_20_MS | 2,)), id="opus_frame_length_missing"),
        pytest.param(bytes((CELT_20_MS | 2, 252)), id="opus_frame_length_truncated"),
        pytest.param(bytes((CELT_20_MS | 2, 5, 1, 2)), id="opus_frame_longer_than_packet"),
        pytest.param(bytes((CELT_20_MS | 2, 0)) + bytes(1276), id="opus_second_frame_over_1275_bytes"),
        pytest.param(bytes((CELT_20_MS | 3,)), id="opus_frame_count_missing"),
        pytest.param(bytes((CELT_20_MS | 3, 0, 1)), id="opus_no_frames"),
        pytest.param(bytes((CELT_20_MS | 3, 49)) + bytes(49), id="opus_49_frames"),
        pytest.param(bytes((CELT_20_MS | 3, 7)) + bytes(7), id="opus_140_ms"),
        pytest.param(bytes((3 << 3 | 3, 3)) + bytes(3), id="opus_180_ms"),
        pytest.param(bytes((CELT_20_MS | 3, 2, 1, 2, 3)), id="opus_does_not_divide"),
        pytest.param(bytes((CELT_20_MS | 3, 1)) + bytes(1276), id="opus_counted_frame_over_1275_bytes"),
        pytest.param(bytes((CELT_20_MS | 3, 0x41)), id="opus_padding_length_missing"),
        pytest.param(bytes((CELT_20_MS | 3, 0x41, 255)), id="opus_padding_length_truncated"),
        pytest.param(bytes((CELT_20_MS | 3, 0x41, 9, 1, 2)), id="opus_padding_longer_than_packet"),
        pytest.param(bytes((CELT_20_MS | 3, 0x82, 9, 1, 2)), id="opus_lengths_longer_than_packet"),
        pytest.param(bytes((CELT_20_MS | 3, 0x83, 1)), id="opus_lengths_truncated"),
        pytest.param(bytes((CELT_20_MS | 3, 0xC2, 2, 1, 7, 7)), id="opus_lengths_reach_into_padding"),
        pytest.param(bytes((CELT_20_MS | 3, 0x81)) + bytes(1276), id="opus_last_frame_over_1275_bytes"),
    ],
)
def test_impossible_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.OPUS).assemble([packet])


def test_marker_ends_nothing() -> None:
    depacketizer = depacketizer_for(Codec.OPUS)
    packet = bytes((CELT_20_MS, 1))
    assert depacketizer.inspect(packet, False) == depacketizer.inspect(packet, True) == (packet, True, True)


def test_a_frame_is_one_packet() -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.OPUS).assemble([bytes((CELT_20_MS,))] * 2)


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=1500))
def test_random_packets_have_a_possible_duration_or_are_refused(packet: bytes) -> None:
    try:
        duration = packet_duration(packet)
    except ProtocolError:
        return
    assert 120 <= duration <= MAX_DURATION
    assert duration % 120 == 0
