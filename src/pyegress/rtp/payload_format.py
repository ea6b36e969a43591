"""What a negotiated RTP payload type means: a codec, retransmissions of another type (RTX), or redundancy (RED)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pyegress.codecs import Codec


class PayloadKind(Enum):
    """How the payload of a packet is packed."""

    MEDIA = "media"
    #: RFC 4588.
    RTX = "rtx"
    #: RFC 2198.
    RED = "red"


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """One `a=rtpmap` with its `a=fmtp` (RFC 8866 section 6.6)."""

    kind: PayloadKind
    #: The codec; None for RTX and RED, whose blocks or `apt` name it.
    codec: Codec | None
    #: Hz.
    clock_rate: int
    #: RTX: the payload type whose packets it repeats (`apt`).
    apt: int | None = None
    #: RED: the payload types of its blocks, from `a=fmtp:63 111/111`; duplicates kept.
    blocks: tuple[int, ...] = ()
    #: `a=fmtp` parameters.
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def media(cls, codec: Codec, parameters: Mapping[str, str] | None = None) -> PayloadFormat:
        """A payload type that carries `codec` itself."""
        return cls(PayloadKind.MEDIA, codec, codec.clock_rate, parameters=parameters or {})

    @classmethod
    def rtx(cls, apt: int, clock_rate: int) -> PayloadFormat:
        """A payload type that repeats packets of type `apt`."""
        return cls(PayloadKind.RTX, None, clock_rate, apt=apt)

    @classmethod
    def red(cls, blocks: tuple[int, ...], clock_rate: int) -> PayloadFormat:
        """A payload type whose blocks are of the types `blocks`."""
        return cls(PayloadKind.RED, None, clock_rate, blocks=blocks)
