"""H.265 (RFC 7798, without DONL and PACI): single NAL units, aggregation and fragmentation; output in Annex B form."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.rtp.depacketizers.base import MAX_UNITS, AssembledFrame, Fragment
from pyegress.rtp.depacketizers.nal_units import HeldNals, aggregated, annexb
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.parameter_sets import read_h265_sps

AGGREGATION = 48
FRAGMENTATION = 49

#: BLA, IDR and CRA pictures, and the reserved IRAP types (H.265 table 7-1).
_IRAP = range(16, 24)
_LAST_SLICE_TYPE = 31
_VPS, _SPS, _PPS = 32, 33, 34


class H265Depacketizer:
    """Collects the NAL units of an access unit, nothing added or removed.

    A key frame is an intra random access picture whose parameter sets have been seen, in it or before it.
    """

    __slots__ = ("_held", "_pps_seen", "_size", "_sps", "_vps_seen")

    def __init__(self) -> None:
        self._held = HeldNals()
        self._sps = b""
        self._size: tuple[int, int] | None = None
        self._vps_seen = self._pps_seen = False

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        kind = _packet_type(payload)
        if kind == FRAGMENTATION:
            return Fragment(payload, payload[2] & 0x80 != 0 and _may_lead(payload[2] & 0x3F, payload, 3), marker)
        if kind == AGGREGATION:
            if len(payload) < 6:
                raise ProtocolError("H.265 aggregation packet ends in its first NAL unit")
            return Fragment(payload, _may_lead((payload[4] >> 1) & 0x3F, payload, 6), marker)
        return Fragment(payload, _may_lead(kind, payload, 2), marker)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame | None:
        nals: list[bytes] = []
        fragments: list[bytes] = []
        for payload in payloads:
            kind = _packet_type(payload)
            if (kind == FRAGMENTATION and not payload[2] & 0x80) != bool(fragments):
                raise ProtocolError("H.265 fragmentation unit does not continue the packet before it")
            if kind == FRAGMENTATION:
                header = bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))
                if not fragments:
                    fragments.append(header)
                elif fragments[0] != header:
                    raise ProtocolError("H.265 fragmentation unit changes its NAL unit")
                fragments.append(payload[3:])
                if payload[2] & 0x40:
                    nals.append(b"".join(fragments))
                    fragments = []
            elif kind == AGGREGATION:
                nals += aggregated(payload, 2)
                if len(nals) > MAX_UNITS:
                    raise ProtocolError("H.265 access unit has too many NAL units")
            else:
                nals.append(payload)
        if fragments or not nals:
            raise ProtocolError("H.265 fragmentation unit has no end")
        return self._access_unit(nals)

    def _access_unit(self, nals: list[bytes]) -> AssembledFrame | None:
        sps = b""
        vps = pps = irap = picture = False
        for nal in nals:
            if len(nal) < 2:
                raise ProtocolError("H.265 NAL unit ends in its header")
            kind = (nal[0] >> 1) & 0x3F
            if kind <= _LAST_SLICE_TYPE:
                picture = True
                irap = irap or kind in _IRAP
            elif kind == _SPS:
                # Enhancement layers (nuh_layer_id > 0) have parameter sets of another syntax.
                sps = sps if _layer(nal) else nal
            elif kind == _VPS:
                vps = True
            elif kind == _PPS:
                pps = True
            elif kind >= AGGREGATION:
                raise ProtocolError("H.265 aggregation packet holds a packet that is no NAL unit")
        if sps and sps != self._sps:
            self._size = read_h265_sps(sps).size
            self._sps = sps
        self._vps_seen = self._vps_seen or vps
        self._pps_seen = self._pps_seen or pps
        if not picture:
            self._held.hold(nals)
            return None
        keyframe = irap and self._vps_seen and bool(self._sps) and self._pps_seen
        data = annexb(self._held.in_front_of(nals))
        return AssembledFrame(data, keyframe, self._size if keyframe else None)


def _packet_type(payload: bytes) -> int:
    """The type of a well-formed packet (RFC 7798 section 4.4). Raises ProtocolError."""
    if len(payload) < 2:
        raise ProtocolError("H.265 packet ends in its header")
    if payload[0] & 0x80:
        raise ProtocolError("H.265 packet has its forbidden bit set")
    if not payload[1] & 7:
        raise ProtocolError("H.265 packet has no temporal id")
    kind = (payload[0] >> 1) & 0x3F
    if kind == FRAGMENTATION:
        if len(payload) < 3:
            raise ProtocolError("H.265 fragmentation unit ends in its header")
        if payload[2] & 0xC0 == 0xC0:
            raise ProtocolError("H.265 fragmentation unit is start and end at once")
        if payload[2] & 0x3F >= AGGREGATION:
            raise ProtocolError("H.265 fragmentation unit holds a packet that is no NAL unit")
    elif kind > AGGREGATION:
        raise ProtocolError("H.265 packet type is unknown")
    return kind


def _may_lead(kind: int, payload: bytes, at: int) -> bool:
    """Whether a NAL unit of `kind`, its bytes behind the header at `at`, can be the first of an access unit.

    Slice segments after the first have first_slice_segment_in_pic_flag clear (H.265 section 7.3.6.1).
    """
    return kind > _LAST_SLICE_TYPE or at >= len(payload) or payload[at] & 0x80 != 0


def _layer(nal: bytes) -> int:
    return (nal[0] & 1) << 5 | nal[1] >> 3
