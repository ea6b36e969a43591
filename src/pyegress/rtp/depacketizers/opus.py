"""Opus (RFC 7587): a packet is one Opus packet; its first byte tells the duration (RFC 6716 section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.rtp.depacketizers.base import AssembledFrame, Fragment
from pyegress.rtp.errors import ProtocolError

#: RFC 6716 section 3.4 R5: a packet holds at most 120 ms, in ticks of 48 kHz.
MAX_DURATION = 5760
#: RFC 6716 section 3.4 R2: the longest frame, in bytes.
MAX_FRAME = 1275

#: Ticks of 48 kHz of one frame by configuration number (RFC 6716 table 2): SILK, hybrid, CELT.
_FRAME_TICKS = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4


class OpusDepacketizer:
    """The marker bit opens a talk spurt (RFC 7587 section 4.1), it ends nothing."""

    __slots__ = ()

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        if not payload:
            raise ProtocolError("Opus packet is empty")
        return Fragment(payload, True, True)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame:
        if len(payloads) != 1:
            raise ProtocolError("an Opus frame is one packet")
        return AssembledFrame(payloads[0], keyframe=True, duration=packet_duration(payloads[0]))


def packet_duration(packet: bytes) -> int:
    """Ticks of 48 kHz in an Opus packet. Raises ProtocolError if it breaks a rule of RFC 6716 section 3.4."""
    if not packet:
        raise ProtocolError("Opus packet is empty")  # R1
    toc = packet[0]
    code = toc & 3
    length = len(packet)
    if code == 0:
        frames = 1
        if length - 1 > MAX_FRAME:
            raise ProtocolError("Opus frame is longer than 1275 bytes")  # R2
    elif code == 1:
        frames = 2
        if not length & 1:
            raise ProtocolError("Opus packet with two equal frames has an odd length")  # R3
        if (length - 1) // 2 > MAX_FRAME:
            raise ProtocolError("Opus frame is longer than 1275 bytes")
    elif code == 2:
        frames = 2
        size, start = _frame_length(packet, 1)
        rest = length - start - size
        if rest < 0:
            raise ProtocolError("Opus frame is longer than its packet")  # R4
        if rest > MAX_FRAME:
            raise ProtocolError("Opus frame is longer than 1275 bytes")
    else:
        frames = _count_frames(packet)
    duration = frames * _FRAME_TICKS[toc >> 3]
    if duration > MAX_DURATION:
        raise ProtocolError("Opus packet is longer than 120 ms")
    return duration


def _count_frames(packet: bytes) -> int:
    """The frame count of a code 3 packet, its framing checked (RFC 6716 section 3.2.5)."""
    length = len(packet)
    if length < 2:
        raise ProtocolError("Opus packet ends before its frame count")  # R6, R7
    count = packet[1] & 0x3F
    if not 0 < count <= 48:
        raise ProtocolError("Opus packet has an impossible frame count")  # R5
    start = 2
    padding = 0
    if packet[1] & 0x40:
        while True:
            if start >= length:
                raise ProtocolError("Opus packet ends in its padding length")
            value = packet[start]
            start += 1
            # 255 stands for 254 bytes and one more length byte.
            padding += min(value, 254)
            if value != 255:
                break
    if packet[1] & 0x80:
        rest = length - padding
        used = 0
        for _ in range(count - 1):
            size, start = _frame_length(packet, start)
            used += size
        rest -= start + used
        if rest < 0:
            raise ProtocolError("Opus frames are longer than their packet")  # R7
        if rest > MAX_FRAME:
            raise ProtocolError("Opus frame is longer than 1275 bytes")
    else:
        rest = length - start - padding
        if rest < 0 or rest % count:
            raise ProtocolError("Opus packet does not divide into its frames")  # R6
        if rest // count > MAX_FRAME:
            raise ProtocolError("Opus frame is longer than 1275 bytes")
    return count


def _frame_length(packet: bytes, at: int) -> tuple[int, int]:
    """A frame length and the offset behind it (RFC 6716 section 3.2.1)."""
    if at >= len(packet):
        raise ProtocolError("Opus packet ends before a frame length")
    first = packet[at]
    if first < 252:
        return first, at + 1
    if at + 1 >= len(packet):
        raise ProtocolError("Opus packet ends in a frame length")
    return packet[at + 1] * 4 + first, at + 2
