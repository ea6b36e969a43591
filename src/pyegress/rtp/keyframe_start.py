"""Whether a packet begins a key frame, by its payload alone: to know that one is coming before it is complete."""

from __future__ import annotations

from pyegress.codecs import Codec
from pyegress.rtp.depacketizers import vp8, vp9
from pyegress.rtp.errors import ProtocolError

_H264_STAP_A, _H264_FU_A = 24, 28
#: IDR slice and sequence parameter set (RFC 6184 table 1).
_H264_KEY = (5, 7)
_H265_AP, _H265_FU = 48, 49
#: IRAP pictures and VPS, SPS, PPS (H.265 table 7-1).
_H265_KEY = (*range(16, 22), 32, 33, 34)


def starts_keyframe(codec: Codec, payload: bytes) -> bool:
    """True if the payload is the first of a key frame. Never raises; what cannot be read is none."""
    try:
        if codec is Codec.VP8:
            descriptor = vp8.read_descriptor(payload)
            return descriptor.starts_frame and not payload[descriptor.length] & 1
        if codec is Codec.VP9:
            picture = vp9.read_descriptor(payload)
            return picture.starts_layer_frame and not picture.inter_predicted and not picture.inter_layer
        if codec is Codec.H264:
            return _h264_type(payload) in _H264_KEY
        if codec is Codec.H265:
            return _h265_type(payload) in _H265_KEY
        # N bit of the aggregation header: a new coded video sequence (AV1 RTP specification section 4.4).
        return codec is Codec.AV1 and payload[0] & 0x08 != 0
    except (IndexError, ProtocolError):
        return False


def _h264_type(payload: bytes) -> int:
    kind = payload[0] & 0x1F
    if kind == _H264_STAP_A:
        return payload[3] & 0x1F
    if kind == _H264_FU_A:
        return payload[1] & 0x1F if payload[1] & 0x80 else kind
    return kind


def _h265_type(payload: bytes) -> int:
    kind = payload[0] >> 1 & 0x3F
    if kind == _H265_AP:
        return payload[4] >> 1 & 0x3F
    if kind == _H265_FU:
        return payload[2] & 0x3F if payload[2] & 0x80 else kind
    return kind
