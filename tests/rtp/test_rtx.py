"""RFC 4588: an original packet goes through a retransmission unchanged."""

from __future__ import annotations

import pytest

from pyegress.rtp import rtx
from pyegress.rtp.packet import RtpPacket, build_extension

pytestmark = pytest.mark.wire


def test_a_retransmission_restores_the_original() -> None:
    profile, extension = build_extension({3: b"abc"})
    original = RtpPacket(96, 65_535, 7, 1, b"payload", True, extension_profile=profile, extension=extension)
    again = rtx.retransmission(original, payload_type=97, ssrc=2, sequence=5)
    assert (again.payload_type, again.ssrc, again.sequence, again.timestamp) == (97, 2, 5, 7)
    assert again.payload == b"\xff\xffpayload"
    assert rtx.restore(RtpPacket.parse(bytes(again)), payload_type=96, ssrc=1) == original


@pytest.mark.parametrize("payload", [b"", b"\x01"], ids=["padding_only", "osn_truncated"])
def test_what_holds_no_packet_is_ignored(payload: bytes) -> None:
    assert rtx.restore(RtpPacket(97, 5, 7, 2, payload, padding=200), payload_type=96, ssrc=1) is None


def test_the_retransmission_of_an_empty_packet_fills_its_number() -> None:
    restored = rtx.restore(RtpPacket(97, 5, 7, 2, b"\x12\x34"), payload_type=96, ssrc=1)
    assert restored is not None
    assert (restored.sequence, restored.payload) == (0x1234, b"")
