from __future__ import annotations

import itertools

import pytest

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import depacketizer_for
from pyegress.rtp.depacketizers.base import PictureIndex
from pyegress.rtp.depacketizers.vp8 import read_descriptor
from pyegress.rtp.errors import ProtocolError
from tests.rtp import packetizers
from tests.rtp.depacketizers.driver import receive, received

pytestmark = pytest.mark.unit

#: Frame tag, start code, 640x360 with scaling bits set, some data.
KEY = bytes.fromhex("1002009d012a80426841") + bytes(range(40))
DELTA = bytes.fromhex("310100") + bytes(range(40))
#: The black key frame that livekit-server sends at mute.
BLANK = bytes.fromhex("1002009d012a080008000047088585888584880202000c0d6000feffab5080")


@pytest.mark.parametrize(
    ("wide_id", "picture_id", "tl0", "tid", "key_index"),
    list(itertools.product([False, True], [None, 100], [None, 200], [None, 2], [None, 17])),
)
def test_descriptor_fields(
    wide_id: bool, picture_id: int | None, tl0: int | None, tid: int | None, key_index: int | None
) -> None:
    (payload,) = packetizers.vp8(
        DELTA, 1200, picture_id=picture_id, wide_id=wide_id, tl0=tl0, tid=tid, sync=tid is not None, key_index=key_index
    )
    descriptor = read_descriptor(payload)
    assert payload[descriptor.length :] == DELTA
    assert descriptor.picture_id == picture_id
    assert descriptor.tl0_picture_index == tl0
    assert descriptor.temporal_id == tid
    assert descriptor.layer_sync == (tid is not None)
    assert descriptor.key_index == key_index
    picture = received(depacketizer_for(Codec.VP8), [payload]).picture
    if picture_id is None and tl0 is None:
        assert picture is None
    else:
        bits = 15 if wide_id and picture_id is not None else 7
        assert picture == PictureIndex(picture_id, bits, tl0, tid or 0, tid is not None)


def test_key_frame_tells_its_size_without_the_scaling_bits() -> None:
    frame = received(depacketizer_for(Codec.VP8), packetizers.vp8(KEY, 20, picture_id=32767))
    assert (frame.payload, frame.keyframe, frame.size, frame.discardable) == (KEY, True, (640, 360), False)


@pytest.mark.parametrize("non_reference", [False, True])
def test_frames_that_nothing_refers_to_are_discardable(non_reference: bool) -> None:
    payloads = packetizers.vp8(DELTA, 20, picture_id=1, tid=1, tl0=3, non_reference=non_reference)
    frame = received(depacketizer_for(Codec.VP8), payloads)
    assert (frame.payload, frame.keyframe, frame.size) == (DELTA, False, None)
    assert frame.discardable == non_reference


def test_only_the_start_of_the_first_partition_starts_a_frame() -> None:
    depacketizer = depacketizer_for(Codec.VP8)
    assert depacketizer.inspect(b"\x10" + DELTA, False).starts_frame
    assert depacketizer.inspect(b"\x30" + DELTA, False).starts_frame
    assert not depacketizer.inspect(b"\x00" + DELTA, False).starts_frame
    assert not depacketizer.inspect(b"\x11" + DELTA, False).starts_frame


def test_partitions_in_packets_of_their_own_are_one_frame() -> None:
    payloads = [b"\x10" + KEY[:20], b"\x00" + KEY[20:25], b"\x11" + KEY[25:30], b"\x12" + KEY[30:]]
    assert received(depacketizer_for(Codec.VP8), payloads).payload == KEY


def test_the_servers_blank_frames_are_no_frames() -> None:
    assert receive(depacketizer_for(Codec.VP8), packetizers.vp8(BLANK, 1200, picture_id=7, tl0=1, tid=0)) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("", id="vp8_empty"),
        pytest.param("10", id="vp8_descriptor_without_frame"),
        pytest.param("90", id="vp8_descriptor_truncated"),
        pytest.param("9080", id="vp8_picture_id_missing"),
        pytest.param("908081", id="vp8_picture_id_truncated"),
        pytest.param("90c00100", id="vp8_picture_id_and_tl0_without_frame"),
        pytest.param("90e00101", id="vp8_temporal_id_missing"),
        pytest.param("90f0818101", id="vp8_key_index_missing"),
    ],
)
def test_truncated_descriptors_are_refused(payload: str) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.VP8).inspect(bytes.fromhex(payload), True)
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.VP8).assemble([bytes.fromhex(payload)])
    with pytest.raises(ProtocolError):
        read_descriptor(bytes.fromhex(payload))


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([], id="vp8_no_packets"),
        pytest.param([b"\x00" + KEY], id="vp8_without_start"),
        pytest.param([b"\x10" + DELTA, b"\x10" + BLANK], id="vp8_cut_short_and_closed_by_blank_frame"),
        pytest.param([b"\x10\x01\x02"], id="vp8_frame_tag_truncated"),
        pytest.param([b"\x10" + KEY[:9]], id="vp8_key_frame_header_truncated"),
        pytest.param([b"\x10" + KEY[:3] + b"\x9d\x01\x2b" + KEY[6:]], id="vp8_key_frame_start_code_wrong"),
        pytest.param([b"\x10" + KEY[:6] + bytes(20)], id="vp8_key_frame_without_size"),
    ],
)
def test_frames_that_cannot_be_are_refused(payloads: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        depacketizer_for(Codec.VP8).assemble(payloads)
