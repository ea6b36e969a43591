"""Readers of AV1 open bitstream units: OBU framing, sequence header, the start of a frame header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from pyegress.rtp.bitstream import BitReader, read_leb128, write_leb128
from pyegress.rtp.errors import ProtocolError


class ObuType(IntEnum):
    """obu_type (AV1 section 6.2.2)."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    TILE_GROUP = 4
    METADATA = 5
    FRAME = 6
    REDUNDANT_FRAME_HEADER = 7
    TILE_LIST = 8
    PADDING = 15


_EXTENSION = 0x04
_HAS_SIZE = 0x02


class Obu(NamedTuple):
    """One open bitstream unit. `header` is one byte, or two with the extension; its size flag is always clear."""

    type: int
    header: bytes
    payload: bytes

    def sized(self) -> bytes:
        """The unit with its size field: the low-overhead format (AV1 section 5.2)."""
        first = bytes((self.header[0] | _HAS_SIZE,))
        return b"".join((first, self.header[1:], write_leb128(len(self.payload)), self.payload))


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """What a sequence header says (AV1 section 5.5); `width` and `height` are the sequence's largest, in pixels."""

    profile: int
    level: int
    tier: int
    bit_depth: int
    monochrome: bool
    subsampling_x: bool
    subsampling_y: bool
    chroma_sample_position: int
    width: int
    height: int
    #: reduced_still_picture_header: frames carry no frame type, each is a key frame.
    still: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


def split_obu(element: bytes) -> Obu:
    """Parse one OBU that fills `element` exactly, with or without a size field. Raises ProtocolError."""
    obu, end = _read_obu(element, 0)
    if end != len(element):
        raise ProtocolError("OBU is shorter than its element")
    return obu


def split_obus(data: bytes) -> Iterator[Obu]:
    """The OBUs of a temporal unit in the low-overhead format. Raises ProtocolError."""
    offset = 0
    while offset < len(data):
        obu, offset = _read_obu(data, offset)
        yield obu


def _read_obu(data: bytes, offset: int) -> tuple[Obu, int]:
    if offset >= len(data):
        raise ProtocolError("OBU is empty")
    first = data[offset]
    if first & 0x80:
        raise ProtocolError("OBU has its forbidden bit set")
    start = offset + (2 if first & _EXTENSION else 1)
    if start > len(data):
        raise ProtocolError("OBU ends in its header")
    header = bytes((first & ~_HAS_SIZE & 0xFF,)) + data[offset + 1 : start]
    end = len(data)
    if first & _HAS_SIZE:
        size, start = read_leb128(data, start)
        end = start + size
        if end > len(data):
            raise ProtocolError("OBU is longer than its data")
    return Obu((first >> 3) & 0x0F, header, data[start:end]), end


def starts_with_shown_key_frame(obu: Obu, sequence: SequenceHeader) -> bool:
    """Whether a FRAME or FRAME_HEADER unit begins a key frame that is shown (AV1 section 5.9.2)."""
    if sequence.still:
        return True
    reader = BitReader(obu.payload)
    if reader.flag():  # show_existing_frame
        return False
    return reader.bits(2) == 0 and reader.flag()  # frame_type KEY_FRAME, show_frame


def read_sequence_header(payload: bytes) -> SequenceHeader:
    """Parse the payload of a sequence header OBU (AV1 section 5.5.1). Raises ProtocolError."""
    reader = BitReader(payload)
    profile = reader.bits(3)
    if profile > 2:
        raise ProtocolError("AV1 sequence header has an unknown profile")
    reader.skip(1)  # still_picture
    still = reader.flag()
    level, tier = (reader.bits(5), 0) if still else _read_operating_points(reader)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    width, height = reader.bits(width_bits) + 1, reader.bits(height_bits) + 1
    if not still and reader.flag():  # frame_id_numbers_present_flag
        reader.skip(7)
    reader.skip(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if not still:
        _skip_inter_tools(reader)
    reader.skip(3)  # enable_superres, enable_cdef, enable_restoration
    depth, monochrome, sub_x, sub_y, position = _read_color_config(reader, profile)
    return SequenceHeader(profile, level, tier, depth, monochrome, sub_x, sub_y, position, width, height, still)


def _read_operating_points(reader: BitReader) -> tuple[int, int]:
    delay_bits = 0
    decoder_model = False
    if reader.flag():  # timing_info_present_flag
        reader.skip(64)
        if reader.flag():  # equal_picture_interval
            reader.unsigned()
        decoder_model = reader.flag()
        if decoder_model:
            delay_bits = reader.bits(5) + 1
            reader.skip(42)
    display_delay = reader.flag()
    first: tuple[int, int] | None = None
    for _ in range(reader.bits(5) + 1):
        reader.skip(12)  # operating_point_idc
        level = reader.bits(5)
        tier = reader.bits(1) if level > 7 else 0
        first = first or (level, tier)
        if decoder_model and reader.flag():
            reader.skip(2 * delay_bits + 1)
        if display_delay and reader.flag():
            reader.skip(4)
    return first or (0, 0)


def _skip_inter_tools(reader: BitReader) -> None:
    reader.skip(4)  # interintra, masked compound, warped motion, dual filter
    order_hint = reader.flag()
    if order_hint:
        reader.skip(2)  # enable_jnt_comp, enable_ref_frame_mvs
    screen_content = True if reader.flag() else reader.flag()  # seq_choose_screen_content_tools, seq_force_...
    if screen_content and not reader.flag():  # seq_choose_integer_mv
        reader.skip(1)
    if order_hint:
        reader.skip(3)


def _read_color_config(reader: BitReader, profile: int) -> tuple[int, bool, bool, bool, int]:
    depth = 10 if reader.flag() else 8
    if profile == 2 and depth == 10 and reader.flag():
        depth = 12
    monochrome = profile != 1 and reader.flag()
    colours = (2, 2, 2)
    if reader.flag():  # color_description_present_flag
        colours = (reader.bits(8), reader.bits(8), reader.bits(8))
    if monochrome:
        reader.skip(1)  # color_range
        return depth, True, True, True, 0
    if colours == (1, 13, 0):  # sRGB is always 4:4:4
        return depth, False, False, False, 0
    reader.skip(1)  # color_range
    if profile == 0:
        sub_x, sub_y = True, True
    elif profile == 1:
        sub_x, sub_y = False, False
    elif depth == 12:
        sub_x = reader.flag()
        sub_y = sub_x and reader.flag()
    else:
        sub_x, sub_y = True, False
    position = reader.bits(2) if sub_x and sub_y else 0
    return depth, False, sub_x, sub_y, position
