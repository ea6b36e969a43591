"""AAC outside of MP4: the header in front of each packet (ISO/IEC 14496-3 section 1.A.2.2)."""

from __future__ import annotations

from functools import lru_cache

from pyegress.rtp.bitstream import BitReader
from pyegress.rtp.errors import ProtocolError

_HEADER = 7


@lru_cache(maxsize=4)
def _fields(config: bytes) -> tuple[int, int, int]:
    """Profile, index of the sample rate, channels of an AudioSpecificConfig (section 1.6.2.1)."""
    reader = BitReader(config)
    kind, rate = reader.bits(5), reader.bits(4)
    if rate == 15 or not 1 <= kind <= 4:
        raise ProtocolError("ADTS cannot say this kind of AAC")
    return kind - 1, rate, reader.bits(4)


def adts_header(config: bytes, length: int) -> bytes:
    """The header of a packet of `length` bytes. Raises ProtocolError for what ADTS cannot say."""
    profile, rate, channels = _fields(config)
    size = length + _HEADER
    return bytes(
        (
            0xFF,
            0xF1,  # MPEG-4, no CRC
            profile << 6 | rate << 2 | channels >> 2,
            (channels & 3) << 6 | size >> 11,
            size >> 3 & 0xFF,
            (size & 7) << 5 | 0x1F,
            0xFC,  # buffer fullness: variable rate; one raw data block
        )
    )
