"""G.711 (RFC 3551 sections 4.5.14): a packet is its samples, one byte each."""

from __future__ import annotations

from collections.abc import Sequence

from pyegress.rtp.depacketizers.base import AssembledFrame, Fragment
from pyegress.rtp.errors import ProtocolError


class G711Depacketizer:
    """PCMU and PCMA. The marker bit opens a talk spurt (RFC 3551 section 4.1), it ends nothing."""

    __slots__ = ()

    def inspect(self, payload: bytes, marker: bool) -> Fragment:
        if not payload:
            raise ProtocolError("G.711 packet is empty")
        return Fragment(payload, True, True)

    def assemble(self, payloads: Sequence[bytes]) -> AssembledFrame:
        if len(payloads) != 1 or not payloads[0]:
            raise ProtocolError("a G.711 frame is one packet with samples")
        return AssembledFrame(payloads[0], keyframe=True, duration=len(payloads[0]))
