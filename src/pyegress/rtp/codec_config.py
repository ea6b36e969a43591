"""What containers need besides frames: NAL unit and OBU splitting, parameter sets, configuration records.

Records: avcC (ISO/IEC 14496-15 section 5.3.3.1), hvcC (section 8.3.3.1), av1C (AV1-ISOBMFF section 2.3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyegress.rtp.av1_headers import ObuType, read_sequence_header, split_obu, split_obus
from pyegress.rtp.errors import ProtocolError
from pyegress.rtp.parameter_sets import HIGH_PROFILES, MAX_PARAMETER_SET, read_h264_sps, read_h265_sps

START_CODE = b"\x00\x00\x00\x01"

H264_IDR, H264_SPS, H264_PPS = 5, 7, 8
H265_VPS, H265_SPS, H265_PPS = 32, 33, 34


def h264_type(nal: bytes) -> int:
    """nal_unit_type (H.264 section 7.3.1)."""
    return nal[0] & 0x1F


def h265_type(nal: bytes) -> int:
    """nal_unit_type (H.265 section 7.3.1.2)."""
    return (nal[0] >> 1) & 0x3F


def split_annexb(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream with 3- or 4-byte start codes (H.264 and H.265 Annex B), without padding zeros."""
    starts: list[int] = []
    at = data.find(b"\x00\x00\x01")
    while at >= 0:
        starts.append(at + 3)
        at = data.find(b"\x00\x00\x01", at + 3)
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    # The zero before a 4-byte start code and trailing_zero_8bits belong to no NAL unit.
    nals = (data[start:end].rstrip(b"\x00") for start, end in zip(starts, ends, strict=False))
    return [nal for nal in nals if nal]


def length_prefixed(nals: Sequence[bytes]) -> bytes:
    """NAL units as MP4 samples hold them: each behind its 4-byte length."""
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def h264_parameter_sets(payload: bytes) -> tuple[list[bytes], list[bytes]]:
    """The distinct (SPS, PPS) NAL units of an Annex B access unit, in order of appearance."""
    nals = split_annexb(payload)
    return _distinct(nals, h264_type, H264_SPS), _distinct(nals, h264_type, H264_PPS)


def h265_parameter_sets(payload: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """The distinct (VPS, SPS, PPS) NAL units of an Annex B access unit, in order of appearance."""
    nals = split_annexb(payload)
    return (
        _distinct(nals, h265_type, H265_VPS),
        _distinct(nals, h265_type, H265_SPS),
        _distinct(nals, h265_type, H265_PPS),
    )


def av1_sequence_header(payload: bytes) -> bytes | None:
    """The first sequence header of a temporal unit as a whole OBU with its size field; None if there is none."""
    for obu in split_obus(payload):
        if obu.type == ObuType.SEQUENCE_HEADER:
            return obu.sized()
    return None


def avc_config(sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """AVCDecoderConfigurationRecord for 4-byte lengths. Raises ProtocolError if a parameter set is malformed."""
    if not sps or not pps or len(sps) > 31 or len(pps) > 255:
        raise ProtocolError("avcC needs 1 to 31 SPS and 1 to 255 PPS")
    first = read_h264_sps(sps[0])
    record = bytearray((1, first.profile, first.compatibility, first.level, 0xFC | 3, 0xE0 | len(sps)))
    record += b"".join(_with_length(nal) for nal in sps)
    record.append(len(pps))
    record += b"".join(_with_length(nal) for nal in pps)
    if first.profile in HIGH_PROFILES:
        record += bytes((0xFC | first.chroma_format, 0xF8 | first.luma_bits - 8, 0xF8 | first.chroma_bits - 8, 0))
    return bytes(record)


def hevc_config(vps: Sequence[bytes], sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """HEVCDecoderConfigurationRecord for 4-byte lengths. Raises ProtocolError if a parameter set is malformed."""
    if not (vps and sps and pps):
        raise ProtocolError("hvcC needs VPS, SPS and PPS")
    first = read_h265_sps(sps[0])
    record = bytearray((1,)) + first.profile_tier_level
    record += (0xF000).to_bytes(2, "big")  # min_spatial_segmentation_idc unknown
    record.append(0xFC)  # parallelismType unknown
    record += bytes((0xFC | first.chroma_format, 0xF8 | first.luma_bits - 8, 0xF8 | first.chroma_bits - 8))
    record += bytes(2)  # avgFrameRate unknown
    record.append(first.temporal_layers << 3 | first.temporal_nesting << 2 | 3)
    record.append(3)
    for kind, nals in ((H265_VPS, vps), (H265_SPS, sps), (H265_PPS, pps)):
        # array_completeness 0: WebRTC senders repeat parameter sets in the stream.
        record.append(kind)
        record += len(nals).to_bytes(2, "big")
        record += b"".join(_with_length(nal) for nal in nals)
    return bytes(record)


def av1_config(sequence_header: bytes) -> bytes:
    """AV1CodecConfigurationRecord for a sequence header OBU, with or without size field. Raises ProtocolError."""
    obu = split_obu(sequence_header)
    if obu.type != ObuType.SEQUENCE_HEADER:
        raise ProtocolError("av1C needs a sequence header OBU")
    header = read_sequence_header(obu.payload)
    flags = (
        header.tier << 7
        | (header.bit_depth > 8) << 6
        | (header.bit_depth == 12) << 5
        | header.monochrome << 4
        | header.subsampling_x << 3
        | header.subsampling_y << 2
        | header.chroma_sample_position
    )
    return bytes((0x81, header.profile << 5 | header.level, flags, 0)) + obu.sized()


def _distinct(nals: Sequence[bytes], kind_of: Callable[[bytes], int], kind: int) -> list[bytes]:
    return list(dict.fromkeys(nal for nal in nals if kind_of(nal) == kind))


def _with_length(nal: bytes) -> bytes:
    if len(nal) > MAX_PARAMETER_SET:
        raise ProtocolError("parameter set is longer than 65535 bytes")
    return len(nal).to_bytes(2, "big") + nal
