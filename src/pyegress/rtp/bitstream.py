"""Reading of bits as codec headers write them: fixed width, Exp-Golomb, leb128, emulation prevention.

Everything raises ProtocolError past the end of the data and costs linear time.
"""

from __future__ import annotations

from pyegress.rtp.errors import ProtocolError

#: An Exp-Golomb or uvlc code with more leading zeros holds a number that no header allows.
MAX_LEADING_ZEROS = 32
#: AV1 section 4.10.5: leb128 is at most eight bytes long and its value below 2**32.
MAX_LEB128_BYTES = 8


class BitReader:
    """Reads big-endian bit fields from `data`, from byte `start` on."""

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: bytes, start: int = 0) -> None:
        self._data = data
        self._position = start * 8
        self._end = len(data) * 8

    def bits(self, count: int) -> int:
        """The next `count` bits as an unsigned number."""
        position = self._position
        end = position + count
        if end > self._end:
            raise ProtocolError("header ends in the middle of a field")
        self._position = end
        last = (end + 7) >> 3
        window = int.from_bytes(self._data[position >> 3 : last], "big")
        return (window >> (last * 8 - end)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return self.bits(1) == 1

    def skip(self, count: int) -> None:
        """Pass over `count` bits."""
        if self._position + count > self._end:
            raise ProtocolError("header ends in the middle of a field")
        self._position += count

    def unsigned(self) -> int:
        """ue(v) of H.264 section 9.1 and H.265 section 9.2; uvlc() of AV1 section 4.10.3 is the same code."""
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > MAX_LEADING_ZEROS:
                raise ProtocolError("Exp-Golomb code is too long")
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """se(v) of H.264 section 9.1.1."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def unescape(nal: bytes) -> bytes:
    """A NAL unit without its emulation prevention bytes (H.264 section 7.4.1, H.265 section 7.4.2)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")


def read_leb128(data: bytes, offset: int) -> tuple[int, int]:
    """The leb128 number at `offset` and the offset behind it (AV1 section 4.10.5)."""
    value = 0
    for index in range(MAX_LEB128_BYTES):
        if offset + index >= len(data):
            raise ProtocolError("leb128 number is truncated")
        byte = data[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            if value >> 32:
                raise ProtocolError("leb128 number does not fit 32 bits")
            return value, offset + index + 1
    raise ProtocolError("leb128 number is longer than eight bytes")


def write_leb128(value: int) -> bytes:
    """The shortest leb128 form of `value`."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
