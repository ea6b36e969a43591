"""RTP packets (RFC 3550 section 5.1) with header extensions (RFC 8285)."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from pyegress.rtp.errors import ProtocolError

_HEADER = Struct("!BBHII")
_WORDS = Struct("!HH")

#: RFC 8285 section 4.2.
ONE_BYTE_PROFILE = 0xBEDE
#: RFC 8285 section 4.3; the low four bits are "appbits", which carry no meaning here.
TWO_BYTE_PROFILE = 0x1000

# livekit-server puts 255 octets of padding into the payload and then lets its RTP stack add 255 octets of RTP padding.
_PADDING = bytes(254) + b"\xff"
_DOUBLE_PADDING = 510


class RtpPacket:
    """One RTP packet. `sequence` has 16 bits and `timestamp` 32 bits, as on the wire.

    A packet without payload carries nothing but its sequence number (RFC 3550 section 5.1, P bit). `padding` is the
    number of padding octets behind the payload.
    """

    __slots__ = (
        "csrcs",
        "extension",
        "extension_profile",
        "marker",
        "padding",
        "payload",
        "payload_type",
        "sequence",
        "ssrc",
        "timestamp",
    )

    def __init__(
        self,
        payload_type: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        payload: bytes = b"",
        marker: bool = False,
        padding: int = 0,
        csrcs: tuple[int, ...] = (),
        extension_profile: int | None = None,
        extension: bytes = b"",
    ) -> None:
        self.payload_type = payload_type
        self.sequence = sequence
        self.timestamp = timestamp
        self.ssrc = ssrc
        self.payload = payload
        self.marker = marker
        self.padding = padding
        self.csrcs = csrcs
        self.extension_profile = extension_profile
        self.extension = extension

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read one packet. Raises ProtocolError if it breaks RFC 3550 section 5.1."""
        size = len(data)
        if size < 12:
            raise ProtocolError(f"RTP packet of {size} octets is shorter than its header")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        if first == 0x80:  # no padding, extension or contributing sources: nearly all audio and most video
            return cls(second & 0x7F, sequence, timestamp, ssrc, data[12:], second > 0x7F)
        if first >> 6 != 2:
            raise ProtocolError(f"RTP version {first >> 6} instead of 2")
        start = 12
        csrcs: tuple[int, ...] = ()
        if count := first & 0x0F:
            start += 4 * count
            if start > size:
                raise ProtocolError("RTP packet ends within its contributing sources")
            csrcs = Struct(f"!{count}I").unpack_from(data, 12)
        profile: int | None = None
        extension = b""
        if first & 0x10:
            if start + 4 > size:
                raise ProtocolError("RTP packet ends within its extension header")
            profile, words = _WORDS.unpack_from(data, start)
            end = start + 4 + 4 * words
            if end > size:
                raise ProtocolError("RTP packet ends within its header extension")
            extension = data[start + 4 : end]
            start = end
        padding = 0
        end = size
        if first & 0x20:
            padding = data[-1]
            end -= padding
            if padding == 0 or end < start:
                raise ProtocolError(f"RTP padding of {padding} octets does not fit {size - start} octets of payload")
            # Only the exact picture of a second padding counts, so that a real payload of 255 octets stays whole.
            if padding == 255 and end - start == 255 and data.endswith(_PADDING, start, end):
                padding = _DOUBLE_PADDING
                end = start
        return cls(
            second & 0x7F,
            sequence,
            timestamp,
            ssrc,
            data[start:end],
            second > 0x7F,
            padding,
            csrcs,
            profile,
            extension,
        )

    def extensions(self) -> Mapping[int, bytes]:
        """Header extension elements by ID (RFC 8285); empty for other profiles. Raises ProtocolError if malformed."""
        profile = self.extension_profile
        if profile == ONE_BYTE_PROFILE:
            return _one_byte_elements(self.extension)
        if profile is not None and profile & 0xFFF0 == TWO_BYTE_PROFILE:
            return _two_byte_elements(self.extension)
        return {}

    def __bytes__(self) -> bytes:
        """The packet as it goes on the wire. Raises ProtocolError if a field does not fit its place."""
        first = 0x80 | len(self.csrcs)
        if len(self.csrcs) > 15 or self.payload_type > 0x7F:
            raise ProtocolError("RTP header field out of range")
        extension = b""
        if self.extension_profile is not None:
            if len(self.extension) % 4:
                raise ProtocolError("RTP header extension is not a multiple of 4 octets")
            first |= 0x10
            extension = _WORDS.pack(self.extension_profile, len(self.extension) // 4) + self.extension
        padding = b""
        if self.padding:
            first |= 0x20
            if self.padding == _DOUBLE_PADDING:
                padding = _PADDING + _PADDING
            elif self.padding <= 255:
                padding = bytes(self.padding - 1) + bytes((self.padding,))
            else:
                raise ProtocolError(f"RTP padding of {self.padding} octets")
        second = self.payload_type | (0x80 if self.marker else 0)
        header = _HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        csrcs = b"".join(csrc.to_bytes(4, "big") for csrc in self.csrcs)
        return header + csrcs + extension + self.payload + padding

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RtpPacket):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"RtpPacket(ssrc={self.ssrc}, payload_type={self.payload_type}, sequence={self.sequence}, "
            f"timestamp={self.timestamp}, marker={self.marker}, {len(self.payload)} octets)"
        )


def build_extension(elements: Mapping[int, bytes]) -> tuple[int, bytes]:
    """Profile and octets of header extension elements: the one-byte form where it fits, else the two-byte form.

    Raises ProtocolError for an ID or a length that neither form can hold.
    """
    if any(not 1 <= number <= 255 or len(value) > 255 for number, value in elements.items()):
        raise ProtocolError("RTP header extension element does not fit RFC 8285")
    if all(number <= 14 and 1 <= len(value) <= 16 for number, value in elements.items()):
        profile = ONE_BYTE_PROFILE
        body = b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in elements.items())
    else:
        profile = TWO_BYTE_PROFILE
        body = b"".join(bytes((number, len(value))) + value for number, value in elements.items())
    return profile, body + bytes(-len(body) % 4)


def _one_byte_elements(data: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        head = data[position]
        position += 1
        if head == 0:  # padding between elements
            continue
        number = head >> 4
        if number == 15:  # RFC 8285 section 4.2: stop here, keep what was read
            break
        end = position + (head & 0x0F) + 1
        if end > len(data):
            raise ProtocolError("RTP header extension ends within an element")
        elements[number] = data[position:end]
        position = end
    return elements


def _two_byte_elements(data: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        number = data[position]
        position += 1
        if number == 0:  # padding is a single octet, without a length
            continue
        if position >= len(data):
            raise ProtocolError("RTP header extension ends before an element's length")
        end = position + 1 + data[position]
        if end > len(data):
            raise ProtocolError("RTP header extension ends within an element")
        elements[number] = data[position + 1 : end]
        position = end
    return elements
