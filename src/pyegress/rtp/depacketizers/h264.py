"""H.264 (RFC 6184, packetization modes 0 and 1): single NAL units, STAP-A and FU-A; output in Annex B form."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.rtp.depacketizers.base import MAX_UNITS, AssembledFrame, Fragment
from pyegress.rtp.depacketizers.nal_units import HeldNals, aggregated, annexb
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.parameter_sets import read_h264_sps

STAP_A = 24
FU_A = 28

_IDR, _SPS, _PPS = 5, 7, 8
#: NAL units with a slice header that begins with first_mb_in_slice (H.264 section 7.3.3).
_SLICES = frozenset({1, 2, 5})
#: Data partitions B and C follow their partition A.
_LATER_PARTITIONS = frozenset({3, 4})

#: The black key frames that LiveKit itself sends when a track is muted or ends; nobody published them.
BLANK_SIZE = (2, 2)


class H264Depacketizer:
    """Collects the NAL units of an access unit, nothing added or removed.

    A key frame is an IDR picture whose parameter sets have been seen, in it or before it.
    """

    __slots__ = ("_held", "_pps_seen", "_size", "_sps")

    def __init__(self) -> None:
        self._held = HeldNals()
        self._sps = b""
        self._size: tuple[int, int] | None = None
        self._pps_seen = False

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        kind = _packet_type(payload)
        if kind == FU_A:
            return Fragment(payload, payload[1] & 0x80 != 0 and _may_lead(payload[1] & 0x1F, payload, 2), marker)
        if kind == STAP_A:
            if len(payload) < 4:
                raise ProtocolError("H.264 STAP-A ends in its first NAL unit")
            return Fragment(payload, _may_lead(payload[3] & 0x1F, payload, 4), marker)
        return Fragment(payload, _may_lead(kind, payload, 1), marker)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame | None:
        nals: list[bytes] = []
        fragments: list[bytes] = []
        for payload in payloads:
            kind = _packet_type(payload)
            if (kind == FU_A and not payload[1] & 0x80) != bool(fragments):
                raise ProtocolError("H.264 FU-A does not continue the packet before it")
            if kind == FU_A:
                header = payload[0] & 0x60 | payload[1] & 0x1F
                if not fragments:
                    fragments.append(bytes((header,)))
                elif fragments[0][0] != header:
                    raise ProtocolError("H.264 FU-A changes its NAL unit")
                fragments.append(payload[2:])
                if payload[1] & 0x40:
                    nals.append(b"".join(fragments))
                    fragments = []
            elif kind == STAP_A:
                nals += aggregated(payload, 1)
                if len(nals) > MAX_UNITS:
                    raise ProtocolError("H.264 access unit has too many NAL units")
            else:
                nals.append(payload)
        if fragments or not nals:
            raise ProtocolError("H.264 FU-A has no end")
        return self._access_unit(nals)

    def _access_unit(self, nals: list[bytes]) -> AssembledFrame | None:
        sps = b""
        pps = idr = reference = picture = False
        for nal in nals:
            kind = nal[0] & 0x1F
            if 1 <= kind <= 5:
                picture = True
                reference = reference or nal[0] & 0x60 != 0
                idr = idr or kind == _IDR
            elif kind == _SPS:
                sps = nal
            elif kind == _PPS:
                pps = True
            elif kind == 0 or kind > 23:
                raise ProtocolError("H.264 aggregation packet holds a packet that is no NAL unit")
        if sps and sps != self._sps:
            size = read_h264_sps(sps).size
            if size == BLANK_SIZE:
                return None
            self._sps, self._size = sps, size
        self._pps_seen = self._pps_seen or pps
        if not picture:
            self._held.hold(nals)
            return None
        keyframe = idr and bool(self._sps) and self._pps_seen
        data = annexb(self._held.in_front_of(nals))
        return AssembledFrame(data, keyframe, self._size if keyframe else None, discardable=not reference)


def _packet_type(payload: bytes) -> int:
    """The packet's type (RFC 6184 table 1). Raises ProtocolError if malformed or not allowed in mode 1."""
    if not payload:
        raise ProtocolError("H.264 packet is empty")
    first = payload[0]
    if first & 0x80:
        raise ProtocolError("H.264 packet has its forbidden bit set")
    kind = first & 0x1F
    if kind == FU_A:
        if len(payload) < 2:
            raise ProtocolError("H.264 FU-A ends in its header")
        flags = payload[1]
        if flags & 0xC0 == 0xC0:
            raise ProtocolError("H.264 FU-A is start and end at once")
        if not 1 <= flags & 0x1F <= 23:
            raise ProtocolError("H.264 FU-A holds a packet that is no NAL unit")
    elif kind == 0 or (kind > 23 and kind != STAP_A):
        raise ProtocolError("H.264 packet type is not allowed in packetization mode 1")
    return kind


def _may_lead(kind: int, payload: bytes, at: int) -> bool:
    """Whether a NAL unit of `kind`, its bytes behind the header at `at`, can be the first of an access unit.

    Slices after the first have first_mb_in_slice > 0, whose Exp-Golomb code begins with a zero bit. (Arbitrary slice
    order, which would break this, exists in no WebRTC profile.)
    """
    if kind in _SLICES:
        return at >= len(payload) or payload[at] & 0x80 != 0
    return kind not in _LATER_PARTITIONS
