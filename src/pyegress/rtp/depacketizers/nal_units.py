"""What the H.264 and H.265 payload formats share: aggregation, parameter sets sent ahead, output in Annex B form."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.rtp.errors import ProtocolError

START_CODE = b"\x00\x00\x00\x01"

#: Bytes of NAL units without a picture that wait for their picture. No sender comes near.
MAX_HELD = 1 << 18


def aggregated(payload: bytes, offset: int) -> list[bytes]:
    """The NAL units of an aggregation packet (RFC 6184 section 5.7.1, RFC 7798 section 4.4.2). Raises ProtocolError."""
    nals: list[bytes] = []
    end = len(payload)
    while offset < end:
        start = offset + 2
        length = int.from_bytes(payload[offset:start], "big")
        offset = start + length
        if offset > end:
            raise ProtocolError("NAL unit is longer than its aggregation packet")
        if not length:
            raise ProtocolError("aggregation packet holds an empty NAL unit")
        nals.append(payload[start:offset])
    if not nals:
        raise ProtocolError("aggregation packet is empty")
    return nals


class HeldNals:
    """NAL units that came as an access unit of their own, without a picture: they belong in front of the next one.

    Some senders give parameter sets a timestamp of their own; a container has no place for a sample without a picture.
    """

    __slots__ = ("_nals", "_size")

    def __init__(self) -> None:
        self._nals: list[bytes] = []
        self._size = 0

    def hold(self, nals: Sequence[bytes]) -> None:
        """Keep `nals` for the next picture; all are forgotten when too many come without a picture."""
        self._size += sum(map(len, nals))
        if self._size > MAX_HELD:
            self.clear()
            raise ProtocolError("too many NAL units without a picture")
        self._nals += nals

    def clear(self) -> None:
        """Forget what is held."""
        self._nals = []
        self._size = 0

    def in_front_of(self, nals: list[bytes]) -> list[bytes]:
        """What was held, then `nals`; nothing is held afterwards."""
        if not self._nals:
            return nals
        joined = self._nals + nals
        self.clear()
        return joined


def annexb(nals: Sequence[bytes]) -> bytes:
    """NAL units in Annex B form, each behind a 4-byte start code."""
    return START_CODE + START_CODE.join(nals)
