"""Retransmission payload format (RFC 4588)."""

from __future__ import annotations

from pyegress.rtp.packet import RtpPacket

#: Octets of the original sequence number (OSN) in front of the original payload, RFC 4588 section 4.
_OSN_SIZE = 2


def restore(packet: RtpPacket, *, payload_type: int, ssrc: int) -> RtpPacket | None:
    """The original packet out of a retransmission; None for padding-only ones, which probe the bandwidth.

    `payload_type` is the `apt` of the packet's payload type, `ssrc` the stream that the RTX stream repairs.
    """
    payload = packet.payload
    if len(payload) < _OSN_SIZE:
        return None
    return RtpPacket(
        payload_type,
        payload[0] << 8 | payload[1],
        packet.timestamp,
        ssrc,
        payload[_OSN_SIZE:],
        packet.marker,
        csrcs=packet.csrcs,
        extension_profile=packet.extension_profile,
        extension=packet.extension,
    )


def retransmission(packet: RtpPacket, *, payload_type: int, ssrc: int, sequence: int) -> RtpPacket:
    """The RTX packet that carries `packet` again, with the RTX stream's own numbers."""
    return RtpPacket(
        payload_type,
        sequence,
        packet.timestamp,
        ssrc,
        packet.sequence.to_bytes(_OSN_SIZE, "big") + packet.payload,
        packet.marker,
        csrcs=packet.csrcs,
        extension_profile=packet.extension_profile,
        extension=packet.extension,
    )
