"""RTCP packets: RFC 3550 section 6, feedback of RFC 4585 and RFC 5104, compound and reduced size (RFC 5506).

`parse` reads one datagram, `build` writes one. Types that are not needed here (REMB, transport-wide congestion control,
XR, APP) pass through as `UnknownRtcp`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct

from pyegress.clock import Wall, ntp_to_wall
from pyegress.rtp.errors import ProtocolError

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203
TRANSPORT_FEEDBACK = 205
PAYLOAD_FEEDBACK = 206

_FMT_NACK = 1
_FMT_PLI = 1
_FMT_FIR = 4
#: SDES item type (RFC 3550 section 6.5.1).
CNAME = 1

_COMMON = Struct("!BBH")
_SSRC = Struct("!I")
_PAIR = Struct("!II")
_SENDER = Struct("!IQIII")
_BLOCK = Struct("!IIIIII")
_PID_BLP = Struct("!HH")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """A reception report about `ssrc` (RFC 3550 section 6.4.1)."""

    ssrc: int
    #: Loss since the last report in 1/256.
    fraction_lost: int
    #: Signed, 24 bits.
    cumulative_lost: int
    #: Extended highest sequence number, 32 bits.
    highest_sequence: int
    #: Ticks.
    jitter: int
    #: Middle 32 bits of the NTP time of the last sender report, 0 if there was none.
    last_sender_report: int
    #: Units of 1/65536 s since that report arrived.
    delay_since_last: int

    def __bytes__(self) -> bytes:
        lost = max(-0x800000, min(0x7FFFFF, self.cumulative_lost)) & 0xFFFFFF
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost << 24 | lost,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR: where the sender's RTP clock stands on its NTP clock (RFC 3550 section 6.4.1)."""

    ssrc: int
    #: 64 bits, 32.32 fixed point.
    ntp: int
    #: 32-bit RTP timestamp of the same instant.
    timestamp: int
    packet_count: int
    octet_count: int
    blocks: tuple[ReportBlock, ...] = ()

    @property
    def wall(self) -> Wall:
        """The report's NTP time as Unix seconds."""
        return ntp_to_wall(self.ntp)

    def __bytes__(self) -> bytes:
        body = _SENDER.pack(self.ssrc, self.ntp, self.timestamp, self.packet_count, self.octet_count)
        return _packet(SENDER_REPORT, len(self.blocks), body + b"".join(map(bytes, self.blocks)))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR (RFC 3550 section 6.4.2)."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()

    def __bytes__(self) -> bytes:
        return _packet(RECEIVER_REPORT, len(self.blocks), _SSRC.pack(self.ssrc) + b"".join(map(bytes, self.blocks)))


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES: items by SSRC, then by item type (RFC 3550 section 6.5)."""

    chunks: Mapping[int, Mapping[int, str]] = field(default_factory=dict)

    @classmethod
    def of_cname(cls, ssrc: int, cname: str) -> SourceDescription:
        """The one item that every compound packet needs (RFC 3550 section 6.1)."""
        return cls({ssrc: {CNAME: cname}})

    def __bytes__(self) -> bytes:
        body = b""
        for ssrc, items in self.chunks.items():
            chunk = _SSRC.pack(ssrc)
            for kind, text in items.items():
                value = text.encode()
                if len(value) > 255:
                    raise ProtocolError("SDES item longer than 255 octets")
                chunk += bytes((kind, len(value))) + value
            # At least one null octet ends the chunk, then up to the next word.
            body += chunk + bytes(4 - len(chunk) % 4)
        return _packet(SOURCE_DESCRIPTION, len(self.chunks), body)


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE (RFC 3550 section 6.6)."""

    ssrcs: tuple[int, ...]
    reason: str = ""

    def __bytes__(self) -> bytes:
        body = b"".join(map(_SSRC.pack, self.ssrcs))
        if self.reason:
            value = self.reason.encode()
            if len(value) > 255:
                raise ProtocolError("BYE reason longer than 255 octets")
            body += bytes((len(value),)) + value
            body += bytes(-len(body) % 4)
        return _packet(GOODBYE, len(self.ssrcs), body)


@dataclass(frozen=True, slots=True)
class GenericNack:
    """Transport layer feedback: these packets are missing (RFC 4585 section 6.2.1). 16-bit sequence numbers."""

    sender_ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]

    def __bytes__(self) -> bytes:
        entries: list[bytes] = []
        first = mask = -1
        for sequence in self.lost:
            distance = (sequence - first) & 0xFFFF
            if first >= 0 and 1 <= distance <= 16:
                mask |= 1 << distance - 1
            elif first < 0 or distance:
                if first >= 0:
                    entries.append(_PID_BLP.pack(first, mask))
                first, mask = sequence & 0xFFFF, 0
        if first >= 0:
            entries.append(_PID_BLP.pack(first, mask))
        body = _PAIR.pack(self.sender_ssrc, self.media_ssrc) + b"".join(entries)
        return _packet(TRANSPORT_FEEDBACK, _FMT_NACK, body)


@dataclass(frozen=True, slots=True)
class PictureLossIndication:
    """PLI: please send a key frame (RFC 4585 section 6.3.1). LiveKit wants the right media SSRC."""

    sender_ssrc: int
    media_ssrc: int

    def __bytes__(self) -> bytes:
        return _packet(PAYLOAD_FEEDBACK, _FMT_PLI, _PAIR.pack(self.sender_ssrc, self.media_ssrc))


@dataclass(frozen=True, slots=True)
class FullIntraRequest:
    """FIR (RFC 5104 section 4.3.1): pairs of SSRC and command sequence number. LiveKit ignores it."""

    sender_ssrc: int
    media_ssrc: int
    requests: tuple[tuple[int, int], ...]

    def __bytes__(self) -> bytes:
        body = _PAIR.pack(self.sender_ssrc, self.media_ssrc)
        body += b"".join(_PAIR.pack(ssrc, number << 24) for ssrc, number in self.requests)
        return _packet(PAYLOAD_FEEDBACK, _FMT_FIR, body)


@dataclass(frozen=True, slots=True)
class UnknownRtcp:
    """A well-formed RTCP packet of another type: `count` is the 5-bit RC, SC or FMT field, `body` what follows."""

    packet_type: int
    count: int
    body: bytes

    def __bytes__(self) -> bytes:
        return _packet(self.packet_type, self.count, self.body)


RtcpPacket = (
    SenderReport
    | ReceiverReport
    | SourceDescription
    | Goodbye
    | GenericNack
    | PictureLossIndication
    | FullIntraRequest
    | UnknownRtcp
)


def build(packets: Iterable[RtcpPacket]) -> bytes:
    """One datagram. Compound packets begin with a report and hold a CNAME; reduced-size ones need not (RFC 5506)."""
    return b"".join(map(bytes, packets))


def parse(data: bytes) -> list[RtcpPacket]:
    """All packets of one datagram, compound or reduced size. Raises ProtocolError if any of them is malformed."""
    if not data:
        raise ProtocolError("RTCP datagram is empty")
    packets: list[RtcpPacket] = []
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise ProtocolError("RTCP packet is shorter than its header")
        first, packet_type, words = _COMMON.unpack_from(data, position)
        if first >> 6 != 2:
            raise ProtocolError(f"RTCP version {first >> 6} instead of 2")
        end = position + 4 + 4 * words
        if end > len(data):
            raise ProtocolError("RTCP packet is longer than its datagram")
        body = data[position + 4 : end]
        if first & 0x20:
            if end != len(data):
                raise ProtocolError("RTCP padding in a packet that is not the last one")
            if not body or body[-1] == 0 or body[-1] % 4 or body[-1] > len(body):
                raise ProtocolError("RTCP padding does not fit the packet")
            body = body[: -body[-1]]
        packets.append(_parse_one(packet_type, first & 0x1F, body))
        position = end
    return packets


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    if count > 31 or len(body) > 0xFFFF * 4:
        raise ProtocolError("RTCP packet does not fit its header")
    return _COMMON.pack(0x80 | count, packet_type, len(body) // 4) + body


def _parse_one(packet_type: int, count: int, body: bytes) -> RtcpPacket:
    if packet_type == SENDER_REPORT:
        if len(body) < 24 + 24 * count:
            raise ProtocolError("RTCP sender report is too short for its blocks")
        ssrc, ntp, timestamp, packet_count, octet_count = _SENDER.unpack_from(body)
        return SenderReport(ssrc, ntp, timestamp, packet_count, octet_count, _parse_blocks(body, 24, count))
    if packet_type == RECEIVER_REPORT:
        if len(body) < 4 + 24 * count:
            raise ProtocolError("RTCP receiver report is too short for its blocks")
        return ReceiverReport(_SSRC.unpack_from(body)[0], _parse_blocks(body, 4, count))
    if packet_type == SOURCE_DESCRIPTION:
        return _parse_source_description(body, count)
    if packet_type == GOODBYE:
        return _parse_goodbye(body, count)
    if packet_type in (TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK):
        return _parse_feedback(packet_type, count, body)
    return UnknownRtcp(packet_type, count, body)


def _parse_blocks(body: bytes, position: int, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for offset in range(position, position + 24 * count, 24):
        ssrc, loss, highest, jitter, last, delay = _BLOCK.unpack_from(body, offset)
        lost = loss & 0xFFFFFF
        blocks.append(
            ReportBlock(ssrc, loss >> 24, lost - 0x1000000 if lost & 0x800000 else lost, highest, jitter, last, delay)
        )
    return tuple(blocks)


def _parse_source_description(body: bytes, count: int) -> SourceDescription:
    chunks: dict[int, dict[int, str]] = {}
    position = 0
    for _ in range(count):
        if position + 4 > len(body):
            raise ProtocolError("RTCP SDES ends before its chunk")
        items = chunks.setdefault(_SSRC.unpack_from(body, position)[0], {})
        position += 4
        while True:
            if position >= len(body):
                raise ProtocolError("RTCP SDES chunk has no end")
            if body[position] == 0:
                position = (position // 4 + 1) * 4
                break
            end = position + 2 + body[position + 1] if position + 1 < len(body) else len(body) + 1
            if end > len(body):
                raise ProtocolError("RTCP SDES ends within an item")
            items[body[position]] = body[position + 2 : end].decode(errors="replace")
            position = end
    return SourceDescription(chunks)


def _parse_goodbye(body: bytes, count: int) -> Goodbye:
    if len(body) < 4 * count:
        raise ProtocolError("RTCP BYE is too short for its sources")
    ssrcs = Struct(f"!{count}I").unpack_from(body)
    reason = ""
    if len(body) > 4 * count:
        start = 4 * count + 1
        end = start + body[4 * count]
        if end > len(body):
            raise ProtocolError("RTCP BYE ends within its reason")
        reason = body[start:end].decode(errors="replace")
    return Goodbye(ssrcs, reason)


def _parse_feedback(packet_type: int, fmt: int, body: bytes) -> RtcpPacket:
    if len(body) < 8:
        raise ProtocolError("RTCP feedback is too short for its two SSRCs")
    sender, media = _PAIR.unpack_from(body)
    if packet_type == TRANSPORT_FEEDBACK and fmt == _FMT_NACK:
        return GenericNack(sender, media, tuple(_expand_nack(body[8:])))
    if packet_type == PAYLOAD_FEEDBACK and fmt == _FMT_PLI:
        return PictureLossIndication(sender, media)
    if packet_type == PAYLOAD_FEEDBACK and fmt == _FMT_FIR:
        if len(body) % 8:
            raise ProtocolError("RTCP FIR ends within an entry")
        pairs = (_PAIR.unpack_from(body, offset) for offset in range(8, len(body), 8))
        return FullIntraRequest(sender, media, tuple((ssrc, word >> 24) for ssrc, word in pairs))
    return UnknownRtcp(packet_type, fmt, body)


def _expand_nack(entries: bytes) -> Sequence[int]:
    lost: list[int] = []
    for offset in range(0, len(entries), 4):
        pid, blp = _PID_BLP.unpack_from(entries, offset)
        lost.append(pid)
        lost.extend((pid + bit + 1) & 0xFFFF for bit in range(16) if blp >> bit & 1)
    return lost
