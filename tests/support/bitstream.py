"""Splitting frames into the units that a byte comparison is about: NAL units and OBUs, whatever frames them."""

from __future__ import annotations

import re

from pyegress.codecs import Codec

_START_CODE = re.compile(b"\x00{2,}\x01")


def split_annexb(data: bytes) -> list[bytes]:
    """NAL units of an Annex B stream (H.264 annex B), start codes of 3 or 4 bytes and trailing zeros removed."""
    return [nal for piece in _START_CODE.split(data) if (nal := piece.rstrip(b"\x00"))]


def split_lengths(data: bytes, length_size: int = 4) -> list[bytes]:
    """NAL units behind big-endian lengths, as MP4 and Matroska hold them (ISO/IEC 14496-15)."""
    nals, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if at + length > len(data):
            raise ValueError(f"a NAL unit of {length} bytes with {len(data) - at} left")
        nals.append(data[at : at + length])
        at += length
    return [nal for nal in nals if nal]


def split_nals(data: bytes) -> list[bytes]:
    """NAL units of either form: 4-byte lengths when they add up exactly, else Annex B."""
    try:
        return split_lengths(data)
    except ValueError:
        return split_annexb(data)


def split_obus(data: bytes) -> list[bytes]:
    """OBUs of a temporal unit in the low-overhead format (AV1 section 5.2) without their size fields.

    Each is its header with obu_has_size_field cleared, then the payload. Temporal delimiters (containers drop them),
    padding and tile lists are left out.
    """
    obus, at = [], 0
    while at < len(data):
        header = data[at]
        has_extension, has_size = bool(header & 0x04), bool(header & 0x02)
        head = bytes([header & ~0x02]) + data[at + 1 : at + 1 + has_extension]
        at += 1 + has_extension
        size = len(data) - at
        if has_size:
            size, at = _leb128(data, at)
        if at + size > len(data):
            raise ValueError(f"an OBU of {size} bytes with {len(data) - at} left")
        if (header >> 3 & 0x0F) not in (2, 8, 15):
            obus.append(head + data[at : at + size])
        at += size
    return obus


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A leb128 number (AV1 section 4.10.5) and the position behind it."""
    value = 0
    for index in range(8):
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise ValueError("leb128 of more than 8 bytes")


def split_frame(codec: Codec, data: bytes) -> list[bytes]:
    """The units of a frame that must be the same, however it is framed; VP8, VP9 and audio are one unit."""
    match codec:
        case Codec.H264 | Codec.H265:
            return split_nals(data)
        case Codec.AV1:
            return split_obus(data)
        case _:
            return [data]
