"""The seam between cutting and the formats of segments, and fMP4 as the second of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from pyegress.clock import Wall
from pyegress.codecs import Codec
from pyegress.outputs.boxes import box
from pyegress.outputs.fragments import fragment, movie_header
from pyegress.outputs.hls.mpeg_ts import MpegTs
from pyegress.outputs.muxer import FileHeader, Sample, StreamSpec
from pyegress.plan.recording_plan import SegmentFormat
from pyegress.rtp.codec_config import av1_sequence_header, h264_parameter_sets, h265_parameter_sets
from pyegress.rtp.frame import EncodedFrame

_BRANDS = (b"msdh", (0).to_bytes(4, "big"), b"msdh", b"msix")


class SegmentMuxer(Protocol):
    """One format of segments. Only bytes; calls in the order of the stream."""

    @property
    def header(self) -> bytes:
        """The initialization segment; empty where segments need none."""

    def begin_segment(self) -> bytes:
        """What a segment begins with."""

    def piece(self, batch: Sequence[Sequence[Sample]]) -> bytes:
        """The next samples of each stream."""


class FragmentedMp4:
    """Segments of fragments (RFC 8216 section 3.3)."""

    def __init__(self, specs: Sequence[StreamSpec], created: Wall) -> None:
        """Raises ProtocolError when a first frame lacks what its sample entry repeats."""
        self._codecs = [spec.codec for spec in specs]
        self.header = movie_header(specs, FileHeader(created)).data
        self._fragments = 0

    def begin_segment(self) -> bytes:
        return box(b"styp", *_BRANDS)

    def piece(self, batch: Sequence[Sequence[Sample]]) -> bytes:
        self._fragments += 1
        return bytes(fragment(self._codecs, batch, self._fragments))


def segment_muxer(format_: SegmentFormat, specs: Sequence[StreamSpec], created: Wall) -> SegmentMuxer:
    """The muxer of a format, whose streams are `segment_streams`. Raises ProtocolError for what it cannot say."""
    return MpegTs(specs) if format_ is SegmentFormat.MPEG_TS else FragmentedMp4(specs, created)


def segment_streams(specs: Sequence[StreamSpec]) -> tuple[StreamSpec, ...]:
    """The streams as segments announce them.

    Copied Opus is declared in stereo: the header is out before a stereo packet may come. The priming of AAC is whole
    packets, which are left out (`before_start`): players need no edit list then, of which many know nothing.
    """
    return tuple(_segment_stream(spec) for spec in specs)


def continues(spec: StreamSpec, keyframe: EncodedFrame) -> bool:
    """Whether a key frame goes on with a stream of pictures as it was announced."""
    if keyframe.codec is not spec.codec or keyframe.size not in (None, spec.size):
        return False
    return _announced(keyframe) <= _announced(spec.first)


def _announced(keyframe: EncodedFrame) -> frozenset[bytes]:
    """What a key frame says that its announcement repeats."""
    match keyframe.codec:
        case Codec.H264:
            groups: Sequence[Sequence[bytes]] = h264_parameter_sets(keyframe.payload)
        case Codec.H265:
            groups = h265_parameter_sets(keyframe.payload)
        case Codec.AV1:
            sequence = av1_sequence_header(keyframe.payload)
            groups = [[sequence]] if sequence is not None else []
        case _:
            groups = []
    return frozenset(part for group in groups for part in group)


def _segment_stream(spec: StreamSpec) -> StreamSpec:
    if spec.codec is Codec.OPUS and not spec.rate:
        return replace(spec, rate=spec.clock_rate)
    return replace(spec, priming=0) if spec.codec is Codec.AAC else spec


def before_start(codec: Codec, timestamp: int, duration: int) -> bool:
    """Whether a packet holds nothing but priming, and is left out."""
    return codec is Codec.AAC and timestamp + duration <= 0
