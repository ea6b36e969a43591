"""RTP payload formats: from the payloads of packets to encoded frames, one depacketizer per stream."""

from __future__ import annotations

from collections.abc import Callable

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers.av1 import Av1Depacketizer
from pyegress.rtp.depacketizers.base import AssembledFrame, Depacketizer, Fragment
from pyegress.rtp.depacketizers.g711 import G711Depacketizer
from pyegress.rtp.depacketizers.h264 import H264Depacketizer
from pyegress.rtp.depacketizers.h265 import H265Depacketizer
from pyegress.rtp.depacketizers.opus import OpusDepacketizer
from pyegress.rtp.depacketizers.vp8 import Vp8Depacketizer
from pyegress.rtp.depacketizers.vp9 import Vp9Depacketizer

__all__ = ["AssembledFrame", "Depacketizer", "Fragment", "depacketizer_for"]

_DEPACKETIZERS: dict[Codec, Callable[[], Depacketizer]] = {
    Codec.OPUS: OpusDepacketizer,
    Codec.PCMU: G711Depacketizer,
    Codec.PCMA: G711Depacketizer,
    Codec.VP8: Vp8Depacketizer,
    Codec.VP9: Vp9Depacketizer,
    Codec.H264: H264Depacketizer,
    Codec.H265: H265Depacketizer,
    Codec.AV1: Av1Depacketizer,
}


def depacketizer_for(codec: Codec) -> Depacketizer:
    """A new depacketizer for one stream of `codec`."""
    return _DEPACKETIZERS[codec]()
