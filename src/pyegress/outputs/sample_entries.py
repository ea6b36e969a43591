"""MP4 sample entries: how each codec introduces itself in `stsd`.

H.264 is `avc1` and H.265 `hvc1`, because Apple's players take no `avc3`/`hev1`; the samples nevertheless keep the
parameter sets that the publisher sent in band, and decoders take those when they change.
"""

from __future__ import annotations

import struct

from pyegress.codecs import Codec
from pyegress.outputs.boxes import box, full_box
from pyegress.outputs.muxer import StreamSpec
from pyegress.outputs.opus import CLOCK_RATE, OPUS_SPECIFIC_CHANNELS, opus_specific
from pyegress.rtp.bitstream import BitReader
from pyegress.rtp.codec_config import (
    START_CODE,
    av1_config,
    av1_sequence_header,
    avc_config,
    h264_parameter_sets,
    h265_parameter_sets,
    hevc_config,
)
from pyegress.rtp.errors import ProtocolError

#: Where the number of channels stands: in an audio sample entry (two bytes), and in the `dOps` box behind it.
AUDIO_ENTRY_CHANNELS = 8 + 6 + 2 + 8
OPUS_BOX_CHANNELS = 8 + 28 + 8 + OPUS_SPECIFIC_CHANNELS
_VP9_LEVELS = (
    (36_864, 10),
    (73_728, 11),
    (122_880, 20),
    (245_760, 21),
    (552_960, 30),
    (983_040, 31),
    (2_228_224, 40),
    (8_912_896, 50),
    (35_651_584, 60),
)


def sample_entry(spec: StreamSpec) -> bytes:
    """The sample entry of a stream. Raises ProtocolError when its first frame lacks what the entry repeats."""
    payload = spec.first.payload
    match spec.codec:
        case Codec.OPUS:
            return _opus_entry(spec.channels, spec.priming)
        case Codec.AAC:
            return _aac_entry(spec)
        case Codec.H264:
            return _visual_entry(b"avc1", spec.pixels, box(b"avcC", avc_config(*h264_parameter_sets(payload))))
        case Codec.H265:
            return _visual_entry(b"hvc1", spec.pixels, box(b"hvcC", hevc_config(*h265_parameter_sets(payload))))
        case Codec.AV1:
            sequence = av1_sequence_header(payload)
            if sequence is None:
                raise ProtocolError("the first key frame has no sequence header")
            return _visual_entry(b"av01", spec.pixels, box(b"av1C", av1_config(sequence)))
        case Codec.VP9:
            record = vp9_config(payload, spec.pixels, bt709=spec.bt709)
            return _visual_entry(b"vp09", spec.pixels, full_box(b"vpcC", 1, 0, record))
    raise ProtocolError(f"MP4 holds no {spec.codec.label}")


def mp4_sample(codec: Codec, payload: bytes) -> bytes:
    """A frame as MP4 stores it: NAL units behind their lengths instead of start codes; others unchanged."""
    if codec is not Codec.H264 and codec is not Codec.H265:
        return payload
    parts: list[bytes] = []
    for nal in payload.split(START_CODE):
        if nal:
            parts.append(len(nal).to_bytes(4, "big"))
            parts.append(nal)
    return b"".join(parts)


def vp9_config(keyframe: bytes, size: tuple[int, int], *, bt709: bool = False) -> bytes:
    """VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding), from a key frame's header."""
    reader = BitReader(keyframe)
    reader.skip(2)  # frame_marker
    low, high = reader.bits(1), reader.bits(1)
    profile = high << 1 | low
    reader.skip((1 if profile == 3 else 0) + 1 + 1 + 1 + 1 + 24)  # to the end of frame_sync_code
    depth = 8
    if profile >= 2:
        depth = 12 if reader.flag() else 10
    subsampling, full_range = 1, 0
    if reader.bits(3) == 7:  # CS_RGB
        subsampling, full_range = 3, 1
    else:
        full_range = reader.bits(1)
        if profile in (1, 3):
            sub_x, sub_y = reader.bits(1), reader.bits(1)
            subsampling = 1 if sub_x and sub_y else 2 if sub_x else 3
    pixels = size[0] * size[1]
    level = next((level for most, level in _VP9_LEVELS if pixels <= most), 62)
    # Colours of copies are unspecified (2): decoders take them from the frames.
    colours = (1, 1, 1) if bt709 else (2, 2, 2)
    return struct.pack(">BBBBBBH", profile, level, depth << 4 | subsampling << 1 | full_range, *colours, 0)


def _visual_entry(kind: bytes, size: tuple[int, int], config: bytes) -> bytes:
    fields = struct.pack(
        ">6xH16xHHIIIH32xHh", 1, min(size[0], 0xFFFF), min(size[1], 0xFFFF), 0x480000, 0x480000, 0, 1, 0x18, -1
    )
    return box(kind, fields, config)


def _audio_fields(channels: int, rate: int) -> bytes:
    return struct.pack(">6xH8xHHHHI", 1, channels, 16, 0, 0, rate << 16 if rate <= 0xFFFF else 0)


def _opus_entry(channels: int, pre_skip: int) -> bytes:
    return box(b"Opus", _audio_fields(channels, CLOCK_RATE), box(b"dOps", opus_specific(channels, pre_skip)))


def _aac_entry(spec: StreamSpec) -> bytes:
    """`mp4a` with the ES descriptor of AAC (ISO/IEC 14496-1 section 7.2.6, 14496-14 section 5.6)."""
    if not spec.config:
        raise ProtocolError("AAC without its AudioSpecificConfig")
    rates = struct.pack(">BB3xII", 0x40, 0x15, spec.bitrate, spec.bitrate)
    decoder = _descriptor(4, rates, _descriptor(5, spec.config))
    stream = _descriptor(3, struct.pack(">HB", 0, 0), decoder, _descriptor(6, b"\x02"))
    return box(b"mp4a", _audio_fields(spec.channels, spec.clock_rate), full_box(b"esds", 0, 0, stream))


def _descriptor(tag: int, *content: bytes) -> bytes:
    """A descriptor with a size of four bytes, as every reader knows it."""
    size = sum(map(len, content))
    sizes = bytes((size >> 21 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F))
    return b"".join((bytes((tag,)), sizes, *content))
