"""RTCP packets: what is read, what is refused, and that reading undoes writing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.clock import wall_to_ntp
from pyegress.rtp import rtcp
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.rtcp import (
    FullIntraRequest,
    GenericNack,
    Goodbye,
    PictureLossIndication,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    UnknownRtcp,
)

pytestmark = pytest.mark.wire

BLOCK = ReportBlock(0x1234, 32, -5, 0x1FFFF, 90, 0xAABBCCDD, 65536)


@pytest.mark.parametrize(
    ("packet", "wire"),
    [
        pytest.param(
            SenderReport(1, 0x0102030405060708, 2, 3, 4),
            "80c80006 00000001 0102030405060708 00000002 00000003 00000004",
            id="sender_report",
        ),
        pytest.param(
            ReceiverReport(1, (BLOCK,)),
            "81c90007 00000001 00001234 20fffffb 0001ffff 0000005a aabbccdd 00010000",
            id="receiver_report",
        ),
        pytest.param(
            SourceDescription.of_cname(1, "abc"),
            "81ca0003 00000001 0103616263 000000",
            id="sdes_ends_with_three_nulls",
        ),
        pytest.param(
            SourceDescription.of_cname(1, "ab"),
            "81ca0003 00000001 01026162 00000000",
            id="sdes_ends_with_four_nulls",
        ),
        pytest.param(Goodbye((1, 2), "bye"), "82cb0003 00000001 00000002 03627965", id="bye_with_reason"),
        pytest.param(Goodbye((1,)), "81cb0001 00000001", id="bye"),
        pytest.param(
            GenericNack(1, 2, (10, 11, 26, 27)),
            "81cd0004 00000001 00000002 000a8001 001b0000",
            id="nack",
        ),
        pytest.param(GenericNack(1, 2, (0xFFFF, 0, 2)), "81cd0003 00000001 00000002 ffff0005", id="nack_wraps"),
        pytest.param(PictureLossIndication(1, 2), "81ce0002 00000001 00000002", id="pli"),
        pytest.param(FullIntraRequest(1, 0, ((2, 7),)), "84ce0004 00000001 00000000 00000002 07000000", id="fir"),
        pytest.param(
            UnknownRtcp(206, 15, bytes.fromhex("00000001000000005245 4d42".replace(" ", ""))),
            "8fce0003 00000001 00000000 52454d42",
            id="remb",
        ),
        pytest.param(UnknownRtcp(205, 15, bytes(12)), "8fcd0003" + "00" * 12, id="transport_wide_congestion_control"),
        pytest.param(UnknownRtcp(207, 0, b"\0\0\0\1"), "80cf0001 00000001", id="extended_report"),
    ],
)
def test_the_wire_form(packet: RtcpPacket, wire: str) -> None:
    data = bytes.fromhex(wire.replace(" ", ""))
    assert bytes(packet) == data
    assert rtcp.parse(data) == [packet]


def test_a_compound_packet() -> None:
    packets: list[RtcpPacket] = [
        SenderReport(1, 5, 2, 3, 4, (BLOCK, BLOCK)),
        SourceDescription.of_cname(1, "name"),
        GenericNack(1, 2, (5,)),
        Goodbye((1,)),
    ]
    assert rtcp.parse(rtcp.build(packets)) == packets


def test_sender_report_time() -> None:
    assert SenderReport(1, wall_to_ntp(1_700_000_000.25), 0, 0, 0).wall == pytest.approx(1_700_000_000.25)  # type: ignore[arg-type]


def test_padding_of_the_last_packet() -> None:
    data = bytes.fromhex("80c90001 00000001 a1ce0003 00000001 00000002 00000004".replace(" ", ""))
    assert rtcp.parse(data) == [ReceiverReport(1), PictureLossIndication(1, 2)]


def test_sdes_with_several_chunks_and_items() -> None:
    packet = SourceDescription({1: {1: "one", 2: "Ünï"}, 2: {}, 3: {1: "x" * 255}})
    assert rtcp.parse(bytes(packet)) == [packet]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("80c9", "shorter than its header", id="header_truncated"),
        pytest.param("40c9000100000001", "version 1", id="version_1"),
        pytest.param("80c9000200000001", "longer than its datagram", id="longer_than_datagram"),
        pytest.param("80c80005" + "00" * 20, "sender report", id="sr_truncated"),
        pytest.param("81c80006" + "00" * 24, "sender report", id="sr_without_its_block"),
        pytest.param("80c90000", "receiver report", id="rr_without_ssrc"),
        pytest.param("81c9000100000001", "receiver report", id="rr_without_its_block"),
        pytest.param("81ca0000", "before its chunk", id="sdes_without_chunk"),
        pytest.param("81ca00020000000101026162", "no end", id="sdes_chunk_without_end"),
        pytest.param("81ca00020000000101096162", "within an item", id="sdes_item_truncated"),
        pytest.param("81ca00020000000100000000" + "80", "shorter than its header", id="trailing_octet"),
        pytest.param("82cb000100000001", "BYE is too short", id="bye_truncated"),
        pytest.param("81cb00020000000109616263", "within its reason", id="bye_reason_truncated"),
        pytest.param("81cd000100000001", "two SSRCs", id="nack_truncated"),
        pytest.param("81ce000100000001", "two SSRCs", id="pli_truncated"),
        pytest.param("84ce000300000001000000000000000a", "FIR", id="fir_truncated"),
        pytest.param("a0c900010000000180c9000100000001", "not the last", id="padding_in_the_middle"),
        pytest.param("a0c9000100000000", "padding", id="padding_of_zero"),
        pytest.param("a0c900010000000c", "padding", id="padding_longer_than_packet"),
        pytest.param("a0c9000200000001" + "00000003", "padding", id="padding_not_in_words"),
    ],
)
def test_damaged_packets_are_refused(data: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        rtcp.parse(bytes.fromhex(data))


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(SourceDescription({1: {1: "x" * 256}}), id="sdes_item_too_long"),
        pytest.param(Goodbye((1,), "x" * 256), id="bye_reason_too_long"),
        pytest.param(Goodbye(tuple(range(32))), id="bye_with_too_many_sources"),
    ],
)
def test_what_does_not_fit_is_not_written(packet: RtcpPacket) -> None:
    with pytest.raises(ProtocolError):
        bytes(packet)


_UINT32 = st.integers(0, 0xFFFFFFFF)
_BLOCKS = st.lists(
    st.builds(
        ReportBlock,
        _UINT32,
        st.integers(0, 255),
        st.integers(-0x800000, 0x7FFFFF),
        _UINT32,
        _UINT32,
        _UINT32,
        _UINT32,
    ),
    max_size=4,
).map(tuple)
_PACKETS: st.SearchStrategy[RtcpPacket] = st.one_of(
    st.builds(SenderReport, _UINT32, st.integers(0, (1 << 64) - 1), _UINT32, _UINT32, _UINT32, _BLOCKS),
    st.builds(ReceiverReport, _UINT32, _BLOCKS),
    st.builds(
        SourceDescription,
        st.dictionaries(_UINT32, st.dictionaries(st.integers(1, 255), st.text(max_size=20), max_size=3), max_size=3),
    ),
    st.builds(Goodbye, st.lists(_UINT32, max_size=4).map(tuple), st.text(max_size=30)),
    st.builds(PictureLossIndication, _UINT32, _UINT32),
    st.builds(
        FullIntraRequest, _UINT32, _UINT32, st.lists(st.tuples(_UINT32, st.integers(0, 255)), max_size=3).map(tuple)
    ),
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(_PACKETS, min_size=1, max_size=4))
def test_reading_undoes_writing(packets: list[RtcpPacket]) -> None:
    assert rtcp.parse(rtcp.build(packets)) == packets


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 300), min_size=1))
def test_a_nack_names_exactly_the_lost_packets(first: int, offsets: set[int]) -> None:
    lost = [(first + offset) & 0xFFFF for offset in sorted(offsets)]
    (packet,) = rtcp.parse(bytes(GenericNack(1, 2, tuple(lost))))
    assert isinstance(packet, GenericNack)
    assert list(packet.lost) == lost
