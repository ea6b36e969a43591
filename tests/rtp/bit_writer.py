"""Writes codec headers bit by bit, to test their readers with every branch."""

from __future__ import annotations


class BitWriter:
    """Collects bits; methods return the writer, so that a header reads like the syntax table of its specification."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def u(self, count: int, value: int) -> BitWriter:
        """`count` bits, unsigned."""
        assert 0 <= value < 1 << count, (count, value)
        self._bits += [value >> shift & 1 for shift in range(count - 1, -1, -1)]
        return self

    def flags(self, *values: int) -> BitWriter:
        """One bit each."""
        for value in values:
            self.u(1, value)
        return self

    def ue(self, *values: int) -> BitWriter:
        """Exp-Golomb, unsigned."""
        for value in values:
            width = (value + 1).bit_length()
            self.u(width - 1, 0).u(width, value + 1)
        return self

    def se(self, *values: int) -> BitWriter:
        """Exp-Golomb, signed."""
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def done(self, *, stop_bit: bool = True) -> bytes:
        """The bytes, behind the stop bit (H.264 section 7.3.2.11, AV1 section 5.3.4) filled with zeros."""
        bits = self._bits + [1] * stop_bit
        bits += [0] * (-len(bits) % 8)
        return bytes(int("".join(map(str, bits[at : at + 8])), 2) for at in range(0, len(bits), 8))


def escape(rbsp: bytes) -> bytes:
    """Insert emulation prevention bytes (H.264 section 7.4.1)."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)
