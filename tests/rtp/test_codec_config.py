from __future__ import annotations

import io
from typing import Any

import av
import pytest

from pyegress.codecs import Codec
from pyegress.rtp.codec_config import (
    av1_config,
    av1_sequence_header,
    avc_config,
    h264_parameter_sets,
    h265_parameter_sets,
    hevc_config,
    length_prefixed,
    split_annexb,
)
from pyegress.rtp.errors import ProtocolError
from tests.rtp.encoders import DECODERS, HEIGHT, WIDTH, encode_video
from tests.rtp.sps import av1_sequence, h264_sps, h265_sps

pytestmark = pytest.mark.media

PPS = bytes.fromhex("68ce3c80")


def _config_by_ffmpeg(codec: Codec) -> bytes:
    """The record that FFmpeg's MP4 muxer writes for the same stream."""
    names = {Codec.H264: "h264", Codec.H265: "hevc", Codec.AV1: "obu"}
    data = b"".join(encoded.data for encoded in encode_video(codec))
    file = io.BytesIO()
    with av.open(io.BytesIO(data), "r", format=names[codec]) as source, av.open(file, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size:
                packet.stream, packet.pts, packet.dts = stream, index, index
                target.mux(packet)
    file.seek(0)
    with av.open(file, "r") as container:
        extradata = container.streams.video[0].codec_context.extradata
    assert extradata
    return extradata


def _decode(codec: Codec, extradata: bytes, samples: list[bytes]) -> list[tuple[int, int]]:
    context: Any = av.CodecContext.create(DECODERS[codec], "r")
    context.extradata = extradata
    pictures = [picture for sample in samples for picture in context.decode(av.Packet(sample))]
    return [(picture.width, picture.height) for picture in pictures + context.decode(None)]


def test_avcc_is_what_ffmpeg_writes_and_decodes() -> None:
    frames = [encoded.data for encoded in encode_video(Codec.H264)]
    sps, pps = h264_parameter_sets(frames[0])
    record = avc_config(sps, pps)
    assert record == _config_by_ffmpeg(Codec.H264)
    samples = [length_prefixed([nal for nal in split_annexb(frame) if nal[0] & 0x1F < 6]) for frame in frames]
    assert _decode(Codec.H264, record, samples) == [(WIDTH, HEIGHT)] * len(frames)


def test_hvcc_is_what_ffmpeg_writes_and_decodes() -> None:
    frames = [encoded.data for encoded in encode_video(Codec.H265)]
    record = hevc_config(*h265_parameter_sets(frames[0]))
    theirs = _config_by_ffmpeg(Codec.H265)
    # FFmpeg takes min_spatial_segmentation_idc and parallelismType from the VUI and the PPS; 0 says unknown.
    assert record[:13] == theirs[:13]
    assert record[16:22] == theirs[16:22]
    for nals in h265_parameter_sets(frames[0]):
        assert all(nal in theirs for nal in nals)
    samples = [length_prefixed([nal for nal in split_annexb(frame) if nal[0] >> 1 < 32]) for frame in frames]
    assert _decode(Codec.H265, record, samples) == [(WIDTH, HEIGHT)] * len(frames)


def test_av1c_is_what_ffmpeg_writes() -> None:
    sequence = av1_sequence_header(encode_video(Codec.AV1)[0].data)
    assert sequence is not None
    assert av1_config(sequence) == _config_by_ffmpeg(Codec.AV1)
    assert av1_sequence_header(encode_video(Codec.AV1)[1].data) is None


def test_av1c_fields() -> None:
    payload = av1_sequence(profile=2, depth=12, subsampling=(1, 0), level=13, tier=1)
    record = av1_config(b"\x08" + payload)
    assert record[:4] == bytes((0x81, 2 << 5 | 13, 0b1110_1000, 0))
    assert record[4:] == bytes((0x0A, len(payload))) + payload


def test_avcc_of_high_profiles_names_the_sample_format() -> None:
    sps = h264_sps(profile=100, chroma_format=2, luma_bits=10, chroma_bits=9)
    record = avc_config([sps], [PPS, PPS])
    assert record[:6] == bytes((1, 100, sps[2], sps[3], 0xFF, 0xE1))
    assert record.endswith(PPS + bytes((0xFE, 0xFA, 0xF9, 0)))
    assert record[8 + len(sps)] == 2


def test_hvcc_fields() -> None:
    record = hevc_config([b"\x40\x01a"], [h265_sps(layers=3, nesting=False)], [b"\x44\x01b", b"\x44\x01c"])
    assert record[1:13] == bytes.fromhex("01600000009000000000005d")
    assert record[21] == 3 << 3 | 0 << 2 | 3
    assert record.endswith(b"\x22\x00\x02\x00\x03\x44\x01b\x00\x03\x44\x01c")


def test_annexb_with_either_start_code_splits_alike() -> None:
    nals = [b"\x67abc", b"\x68\x00\x00\x03d", b"\x65efg"]
    for code in (b"\x00\x00\x01", b"\x00\x00\x00\x01", b"\x00\x00\x00\x00\x01"):
        assert split_annexb(b"".join(code + nal for nal in nals)) == nals
    assert split_annexb(b"\x00\x00\x01\x09\xf0\x00\x00") == [b"\x09\xf0"]
    assert split_annexb(b"no start code") == split_annexb(b"") == []


def test_parameter_sets_are_listed_once() -> None:
    sps = h264_sps()
    data = b"".join(b"\x00\x00\x00\x01" + nal for nal in (sps, PPS, sps, PPS, b"\x68other", b"\x65x"))
    assert h264_parameter_sets(data) == ([sps], [PPS, b"\x68other"])


@pytest.mark.parametrize(
    ("sps", "pps"),
    [
        pytest.param([], [PPS], id="avcc_without_sps"),
        pytest.param([h264_sps()], [], id="avcc_without_pps"),
        pytest.param([h264_sps()] * 32, [PPS], id="avcc_with_32_sps"),
        pytest.param([h264_sps()[:5]], [PPS], id="avcc_with_truncated_sps"),
        pytest.param([h264_sps()], [PPS + bytes(65536)], id="avcc_with_pps_over_65535_bytes"),
    ],
)
def test_impossible_avcc_is_refused(sps: list[bytes], pps: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        avc_config(sps, pps)


def test_impossible_records_are_refused() -> None:
    with pytest.raises(ProtocolError):
        hevc_config([], [h265_sps()], [b"\x44\x01b"])
    for obu in (b"", b"\x30\x10", b"\x08\x00"):
        with pytest.raises(ProtocolError):
            av1_config(obu)
