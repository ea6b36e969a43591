"""RTP packets: what is read, what is refused, and that reading undoes writing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.packet import ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, RtpPacket, build_extension

pytestmark = pytest.mark.wire

#: Version 2, marker, type 96, sequence 0x1234, timestamp 0x01020304, SSRC 0xAABBCCDD, payload "payload".
PLAIN = bytes.fromhex("80e0123401020304aabbccdd") + b"payload"
DOUBLE_PADDING = bytes(254) + b"\xff"


def test_a_plain_packet() -> None:
    packet = RtpPacket.parse(PLAIN)
    assert (packet.payload_type, packet.marker, packet.sequence) == (96, True, 0x1234)
    assert (packet.timestamp, packet.ssrc, packet.payload) == (0x01020304, 0xAABBCCDD, b"payload")
    assert (packet.padding, packet.csrcs, dict(packet.extensions())) == (0, (), {})
    assert bytes(packet) == PLAIN
    assert repr(packet) == (
        "RtpPacket(ssrc=2864434397, payload_type=96, sequence=4660, timestamp=16909060, marker=True, 7 octets)"
    )


def test_contributing_sources_one_byte_extension_and_padding() -> None:
    data = bytes.fromhex(
        "b2 60 0001 00000002 00000003  00000011 00000022  bede 0002 10aa 00 31bbcc 00 00".replace(" ", "")
    )
    data += b"media" + b"\x00\x00\x03"
    packet = RtpPacket.parse(data)
    assert packet.csrcs == (0x11, 0x22)
    assert packet.extension_profile == ONE_BYTE_PROFILE
    assert packet.extensions() == {1: b"\xaa", 3: b"\xbb\xcc"}
    assert packet.payload == b"media"
    assert packet.padding == 3
    assert bytes(packet) == data


def test_the_two_byte_extension() -> None:
    data = bytes.fromhex("90600001000000020000000310000002" + "01000000" + "0502aabb") + b"x"
    packet = RtpPacket.parse(data)
    assert packet.extension_profile == TWO_BYTE_PROFILE
    assert packet.extensions() == {1: b"", 5: b"\xaa\xbb"}
    assert packet.payload == b"x"


def test_identifier_15_ends_the_one_byte_extension() -> None:
    packet = RtpPacket(96, 0, 0, 0, extension_profile=ONE_BYTE_PROFILE, extension=bytes.fromhex("10aaf0ffffffffff"))
    assert packet.extensions() == {1: b"\xaa"}


def test_another_extension_profile_is_skipped() -> None:
    packet = RtpPacket.parse(bytes.fromhex("906000010000000200000003123400010badcafe") + b"x")
    assert packet.extensions() == {}
    assert packet.payload == b"x"


def test_padding_only() -> None:
    packet = RtpPacket.parse(bytes.fromhex("a0600001000000020000000300000004"))
    assert (packet.payload, packet.padding) == (b"", 4)


@pytest.mark.parametrize("extension", ["", "bede000110aa0000"], ids=["plain", "with_extension"])
def test_the_double_padding_of_livekit_is_no_payload(extension: str) -> None:
    first = "b0" if extension else "a0"
    data = bytes.fromhex(first + "6000010000000200000003" + extension) + DOUBLE_PADDING * 2
    packet = RtpPacket.parse(data)
    assert packet.payload == b""
    assert packet.padding == 510
    assert bytes(packet) == data


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x00" * 253 + b"\x01\xff", id="one_octet_differs"),
        pytest.param(b"\x01" + b"\x00" * 253 + b"\xff", id="first_octet_differs"),
        pytest.param(b"\x00" * 255, id="zeros"),
        pytest.param(b"\x00" * 255 + b"\xff", id="one_octet_longer"),
        pytest.param(b"\x00" * 253 + b"\xff", id="one_octet_shorter"),
    ],
)
def test_a_payload_that_resembles_double_padding_stays_whole(payload: bytes) -> None:
    data = bytes.fromhex("a06000010000000200000003") + payload + DOUBLE_PADDING
    assert RtpPacket.parse(data).payload == payload


def test_zeros_without_the_padding_bit_stay_whole() -> None:
    data = bytes.fromhex("806000010000000200000003") + DOUBLE_PADDING * 2
    assert RtpPacket.parse(data).payload == DOUBLE_PADDING * 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param("", "shorter than its header", id="empty"),
        pytest.param("80600001000000020000", "shorter than its header", id="header_truncated"),
        pytest.param("406000010000000200000003", "version 1", id="version_1"),
        pytest.param("006000010000000200000003", "version 0", id="version_0"),
        pytest.param("82600001000000020000000300000001", "contributing sources", id="csrc_truncated"),
        pytest.param("906000010000000200000003", "extension header", id="extension_header_missing"),
        pytest.param("906000010000000200000003bede", "extension header", id="extension_header_truncated"),
        pytest.param("906000010000000200000003bede000100", "header extension", id="extension_truncated"),
        pytest.param("a06000010000000200000003aa00", "padding of 0", id="padding_of_zero"),
        pytest.param("a06000010000000200000003aa05", "padding of 5", id="padding_longer_than_payload"),
        pytest.param("a06000010000000200000003", "padding", id="padding_bit_without_payload"),
    ],
)
def test_damaged_packets_are_refused(data: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        RtpPacket.parse(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("profile", "extension"),
    [
        pytest.param(ONE_BYTE_PROFILE, "13aabb00", id="one_byte_element_truncated"),
        pytest.param(TWO_BYTE_PROFILE, "0105aabb", id="two_byte_element_truncated"),
        pytest.param(TWO_BYTE_PROFILE, "0100000a", id="two_byte_element_without_length"),
    ],
)
def test_damaged_extensions_are_refused_when_read(profile: int, extension: str) -> None:
    packet = RtpPacket(96, 0, 0, 0, extension_profile=profile, extension=bytes.fromhex(extension))
    assert RtpPacket.parse(bytes(packet)) == packet
    with pytest.raises(ProtocolError):
        packet.extensions()


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(RtpPacket(128, 0, 0, 0), id="payload_type"),
        pytest.param(RtpPacket(96, 0, 0, 0, csrcs=(1,) * 16), id="too_many_sources"),
        pytest.param(RtpPacket(96, 0, 0, 0, padding=300), id="padding"),
        pytest.param(RtpPacket(96, 0, 0, 0, extension_profile=1, extension=b"abc"), id="extension_not_in_words"),
    ],
)
def test_what_does_not_fit_is_not_written(packet: RtpPacket) -> None:
    with pytest.raises(ProtocolError):
        bytes(packet)


@pytest.mark.parametrize("elements", [{0: b"a"}, {256: b"a"}, {1: bytes(256)}])
def test_extension_elements_that_do_not_fit(elements: dict[int, bytes]) -> None:
    with pytest.raises(ProtocolError):
        build_extension(elements)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    packet=st.builds(
        RtpPacket,
        st.integers(0, 127),
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=300),
        st.booleans(),
        st.integers(0, 255),
        st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    ),
    elements=st.none() | st.dictionaries(st.integers(1, 255), st.binary(max_size=40), max_size=5),
)
def test_reading_undoes_writing(packet: RtpPacket, elements: dict[int, bytes] | None) -> None:
    if elements is not None:
        packet.extension_profile, packet.extension = build_extension(elements)
    read = RtpPacket.parse(bytes(packet))
    assert read == packet
    assert bytes(read) == bytes(packet)
    assert dict(read.extensions()) == (elements or {})
