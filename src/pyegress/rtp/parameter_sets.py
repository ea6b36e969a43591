"""Readers of H.264 and H.265 sequence parameter sets: picture size and what configuration records repeat."""

from __future__ import annotations

from dataclasses import dataclass

from pyegress.rtp.bitstream import BitReader, unescape
from pyegress.rtp.errors import ProtocolError

#: H.264 section 7.3.2.1.1: only these profiles carry chroma format, bit depths and scaling lists.
HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
#: Larger pictures than any level allows are garbage, and 16 bits are all that containers can say.
MAX_DIMENSION = 65535
#: Bytes of a parameter set: containers give it a 16-bit length.
MAX_PARAMETER_SET = 65535

#: (width, height) of a chroma sample in luma samples, by chroma_format_idc (H.264 table 6-1, H.265 table 6-1).
_CHROMA_UNIT = ((1, 1), (2, 2), (2, 1), (1, 1))


@dataclass(frozen=True, slots=True)
class H264Sps:
    """What an H.264 sequence parameter set says. `width` and `height` in pixels after cropping."""

    profile: int
    #: constraint_set flags and reserved bits: the byte between profile and level.
    compatibility: int
    level: int
    width: int
    height: int
    chroma_format: int = 1
    luma_bits: int = 8
    chroma_bits: int = 8

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class H265Sps:
    """What an H.265 sequence parameter set says. `width` and `height` in pixels inside the conformance window."""

    #: general_profile_space to general_level_idc: 12 bytes as hvcC repeats them.
    profile_tier_level: bytes
    width: int
    height: int
    chroma_format: int
    luma_bits: int
    chroma_bits: int
    temporal_layers: int
    temporal_nesting: bool

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


def read_h264_sps(nal: bytes) -> H264Sps:
    """Parse an SPS NAL unit, header included (H.264 section 7.3.2.1.1). Raises ProtocolError."""
    if len(nal) > MAX_PARAMETER_SET or not nal or nal[0] & 0x1F != 7:
        raise ProtocolError("not an H.264 sequence parameter set")
    reader = BitReader(unescape(nal), 1)
    profile, compatibility, level = reader.bits(8), reader.bits(8), reader.bits(8)
    reader.unsigned()  # seq_parameter_set_id
    chroma_format, luma_bits, chroma_bits, separate_planes = 1, 8, 8, False
    if profile in HIGH_PROFILES:
        chroma_format = _chroma_format(reader)
        separate_planes = chroma_format == 3 and reader.flag()
        luma_bits, chroma_bits = _bit_depth(reader), _bit_depth(reader)
        reader.skip(1)  # qpprime_y_zero_transform_bypass_flag
        if reader.flag():
            for index in range(12 if chroma_format == 3 else 8):
                if reader.flag():
                    _skip_scaling_list(reader, 16 if index < 6 else 64)
    reader.unsigned()  # log2_max_frame_num_minus4
    order_type = reader.unsigned()
    if order_type == 0:
        reader.unsigned()
    elif order_type == 1:
        reader.skip(1)
        reader.signed()
        reader.signed()
        cycle = reader.unsigned()
        if cycle > 255:
            raise ProtocolError("H.264 SPS has an impossible picture order count cycle")
        for _ in range(cycle):
            reader.signed()
    elif order_type > 2:
        raise ProtocolError("H.264 SPS has an impossible picture order count type")
    reader.unsigned()  # max_num_ref_frames
    reader.skip(1)  # gaps_in_frame_num_value_allowed_flag
    width = (reader.unsigned() + 1) * 16
    map_units = reader.unsigned() + 1
    frames_only = reader.flag()
    height = map_units * (16 if frames_only else 32)
    reader.skip(1 if frames_only else 2)  # mb_adaptive_frame_field_flag, direct_8x8_inference_flag
    if reader.flag():
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
        unit_x, unit_y = (1, 1) if separate_planes else _CHROMA_UNIT[chroma_format]
        width -= (left + right) * unit_x
        height -= (top + bottom) * unit_y * (1 if frames_only else 2)
    _check_size(width, height)
    return H264Sps(profile, compatibility, level, width, height, chroma_format, luma_bits, chroma_bits)


def read_h265_sps(nal: bytes) -> H265Sps:
    """Parse an SPS NAL unit, header included (H.265 section 7.3.2.2.1). Raises ProtocolError."""
    if len(nal) > MAX_PARAMETER_SET or len(nal) < 2 or (nal[0] >> 1) & 0x3F != 33:
        raise ProtocolError("not an H.265 sequence parameter set")
    raw = unescape(nal)
    reader = BitReader(raw, 2)
    reader.skip(4)  # sps_video_parameter_set_id
    layers = reader.bits(3) + 1
    nesting = reader.flag()
    if layers > 7:
        raise ProtocolError("H.265 SPS has more than seven temporal layers")
    profile_tier_level = reader.bits(96).to_bytes(12, "big")
    if layers > 1:
        present = [(reader.flag(), reader.flag()) for _ in range(layers - 1)]
        reader.skip(2 * (9 - layers))  # reserved_zero_2bits up to eight entries
        for profile_present, level_present in present:
            reader.skip(88 * profile_present + 8 * level_present)
    reader.unsigned()  # sps_seq_parameter_set_id
    chroma_format = _chroma_format(reader)
    separate_planes = chroma_format == 3 and reader.flag()
    width, height = reader.unsigned(), reader.unsigned()
    if reader.flag():
        left, right, top, bottom = (reader.unsigned() for _ in range(4))
        unit_x, unit_y = (1, 1) if separate_planes else _CHROMA_UNIT[chroma_format]
        width -= (left + right) * unit_x
        height -= (top + bottom) * unit_y
    luma_bits, chroma_bits = _bit_depth(reader), _bit_depth(reader)
    _check_size(width, height)
    return H265Sps(profile_tier_level, width, height, chroma_format, luma_bits, chroma_bits, layers, nesting)


def _chroma_format(reader: BitReader) -> int:
    value = reader.unsigned()
    if value > 3:
        raise ProtocolError("SPS has an impossible chroma format")
    return value


def _bit_depth(reader: BitReader) -> int:
    value = reader.unsigned() + 8
    if value > 16:
        raise ProtocolError("SPS has an impossible bit depth")
    return value


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed()) & 0xFF
        last = following or last


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= MAX_DIMENSION and 0 < height <= MAX_DIMENSION):
        raise ProtocolError("SPS has an impossible picture size")
